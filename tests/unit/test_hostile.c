/* Malformed files: each gives a status and one line that names the fault; none a crash, a hang or a large allocation.
 */
#include "scratch.h"

#include <sys/resource.h>

#include "gguf.h"
#include "source.h"

static struct bytes bytes;

/* An allocation that a lie in a header asks for must fail here, not succeed on a machine with plenty; a hang must end.
 * The address sanitizer needs terabytes of addresses, and is left to its own limit. */
static void limit_resources(void)
{
    alarm(300);
#if !defined(__SANITIZE_ADDRESS__)
    struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
}

static void check_message(const char *text)
{
    cr_assert(text[0] != '\0', "no message");
    for (const char *p = text; *p; p++)
        cr_assert((unsigned char)*p >= 0x20 && *p != 0x7f, "a control character in '%s'", text);
}

static void expect(const char *path, hc_status status, const char *what, const char *fragment)
{
    struct hc_source *source;
    struct hc_error error = {""};
    hc_status outcome = hc_source_open(path, &source, &error);
    cr_assert_eq(outcome, status, "%s: status %d: %s", what, (int)outcome, error.text);
    check_message(error.text);
    cr_assert(strstr(error.text, fragment), "%s: '%s' does not say '%s'", what, error.text, fragment);
    cr_assert(strstr(error.text, "model"), "'%s' does not name the file", error.text);
}

/* ---- safetensors, by hand ------------------------------------------------------------------- */

#define T(dtype, shape, offsets) "{\"t\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header;
    size_t data;
    hc_status status;
    const char *fragment;
} headers[] = {
    {"[]", 0, HC_ERR_CORRUPT, "does not begin with '{'"},
    {" {}", 0, HC_ERR_CORRUPT, "does not begin with '{'"},
    {"{", 0, HC_ERR_CORRUPT, "not valid JSON"},
    {"{}x", 0, HC_ERR_CORRUPT, "not valid JSON"},
    {"{\"t\":\"\xff\"}", 0, HC_ERR_CORRUPT, "not valid JSON"},
    {"{\"t\":\"\\u0000\"}", 0, HC_ERR_CORRUPT, "not valid JSON"},
    {"{\"t\":[[[[1]]]]}", 0, HC_ERR_CORRUPT, "nested more than 4 levels"},
    {"{\"t\":{\"a\":1},\"t\":{}}", 0, HC_ERR_CORRUPT, "uplicate"},
    {"{\"t\":1}", 0, HC_ERR_CORRUPT, "tensor 't': its description is not an object"},
    {"{\"t\":{}}", 0, HC_ERR_CORRUPT, "tensor 't': its dtype is missing"},
    {"{\"t\":{\"dtype\":\"U8\"}}", 0, HC_ERR_CORRUPT, "its shape is missing"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[]}}", 1, HC_ERR_CORRUPT, "data_offsets are not two"},
    {"{\"t\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,1]}}", 1, HC_ERR_CORRUPT, "its dtype is missing"},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1, HC_ERR_CORRUPT, "keys other than"},
    {"{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 1, HC_ERR_CORRUPT, "uplicate"},
    {"{\"__metadata__\":[]}", 0, HC_ERR_CORRUPT, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, HC_ERR_CORRUPT, "__metadata__ 'k' is not a string"},
    {T("F4", "[2]", "[0,1]"), 1, HC_ERR_UNSUPPORTED, "tensor 't': type F4 is not supported"},
    {T("Q4_0", "[32]", "[0,18]"), 18, HC_ERR_UNSUPPORTED, "type Q4_0 is not supported"},
    {T("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, HC_ERR_UNSUPPORTED, "it has 9 dimensions"},
    {T("U8", "3", "[0,3]"), 3, HC_ERR_CORRUPT, "its shape is missing or not a list"},
    {T("U8", "[-1]", "[0,1]"), 1, HC_ERR_CORRUPT, "not a whole number"},
    {T("U8", "[1.0]", "[0,1]"), 1, HC_ERR_CORRUPT, "not a whole number"},
    {T("U8", "[4294967296,4294967297]", "[0,1]"), 1, HC_ERR_CORRUPT, "product of its dimensions overflows"},
    {T("F64", "[4611686018427387904]", "[0,1]"), 1, HC_ERR_CORRUPT, "size in bytes overflows"},
    {T("U8", "[99999999999999999999]", "[0,1]"), 1, HC_ERR_CORRUPT, "not valid JSON"},
    {T("U8", "[2]", "[0,2,2]"), 2, HC_ERR_CORRUPT, "data_offsets are not two"},
    {T("U8", "[2]", "[0,2.0]"), 2, HC_ERR_CORRUPT, "data_offsets are not two"},
    {T("U8", "[2]", "\"02\""), 2, HC_ERR_CORRUPT, "data_offsets are not two"},
    {T("U8", "[2]", "[2,0]"), 2, HC_ERR_CORRUPT, "in the wrong order"},
    {T("U8", "[2]", "[-2,0]"), 2, HC_ERR_CORRUPT, "negative"},
    {T("U8", "[2]", "[0,2]"), 1, HC_ERR_CORRUPT, "beyond the end of the file"},
    {T("U8", "[2]", "[0,9223372036854775807]"), 1, HC_ERR_CORRUPT, "beyond the end of the file"},
    {T("U8", "[3]", "[0,2]"), 2, HC_ERR_CORRUPT, "do not agree with its shape"},
    {T("F32", "[2]", "[0,2]"), 2, HC_ERR_CORRUPT, "do not agree with its shape"},
    {T("U8", "[0]", "[0,1]"), 1, HC_ERR_CORRUPT, "do not agree with its shape"},
    {T("U8", "[2]", "[1,3]"), 3, HC_ERR_CORRUPT, "tensor 't': there is a hole before its data"},
    {T("U8", "[2]", "[0,2]"), 3, HC_ERR_CORRUPT, "1 bytes at the end of the file belong to no tensor"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
     3, HC_ERR_CORRUPT, "tensor 'b': its data overlaps"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
     2, HC_ERR_CORRUPT, "tensor 'b': its data overlaps"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[1,1]}}",
     2, HC_ERR_CORRUPT, "tensor 'b': its data overlaps"},
    {"{\"a\\n\\u001b[2J\":1}", 0, HC_ERR_CORRUPT, "tensor 'a??[2J'"},
};

Test(hostile, safetensors_headers)
{
    struct scratch scratch;
    scratch_make(&scratch);
    limit_resources();
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        scratch_safetensors(&scratch, "model", headers[i].header, headers[i].data);
        expect(scratch_at(&scratch, "model"), headers[i].status, headers[i].header, headers[i].fragment);
    }
    scratch_remove(&scratch);
}

Test(hostile, safetensors_lengths)
{
    static const struct {
        uint64_t length;
        const char *fragment;
    } cases[] = {{UINT64_MAX, "the header claims 18446744073709551615 bytes"},
                 {(uint64_t)1 << 63, "the header claims"},
                 {UINT64_MAX - 7, "the header claims"},
                 {3, "the header claims 3 bytes"},
                 {1, "not valid JSON"},
                 {0, "does not begin with '{'"}};
    struct scratch scratch;
    scratch_make(&scratch);
    limit_resources();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_safetensors(&bytes, "{}", 0);
        patch_uint(&bytes, 0, cases[i].length, 8);
        scratch_write(&scratch, "model", bytes.data, bytes.size);
        expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, "length", cases[i].fragment);
    }
    for (size_t size = 0; size < 8; size++) {
        scratch_write(&scratch, "model", bytes.data, size);
        expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, "short", "too few");
    }
    scratch_write(&scratch, "model", "PK\3\4\0\0\10\10aaaa", 12);
    expect(scratch_at(&scratch, "model"), HC_ERR_UNSUPPORTED, "zip", "PyTorch or zip file");
    scratch_remove(&scratch);
}

/* A header that is allowed to be long, of nothing but brackets, commas, or one name. */
Test(hostile, safetensors_floods)
{
    enum { LENGTH = 30000000 };
    static const struct {
        const char *unit, *fragment;
    } cases[] = {{"[", "nested more than"},
                 {"\"\":{},", "more than 1000000 values"},
                 {"0,", "more than 1000000 values"},
                 {"a", "not valid JSON"},
                 {" ", "not valid JSON"},
                 {"\"\\\"\"", "not valid JSON"}};
    struct scratch scratch;
    char *text = malloc(LENGTH + 16);
    cr_assert_not_null(text);
    scratch_make(&scratch);
    limit_resources();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t unit = strlen(cases[i].unit);
        for (int j = 0; j < 8; j++)
            text[j] = (char)(uint8_t)((uint64_t)LENGTH >> (8 * j));
        text[8] = '{';
        for (size_t j = 1; j < LENGTH; j++)
            text[8 + j] = cases[i].unit[(j - 1) % unit];
        scratch_write(&scratch, "model", text, LENGTH + 8);
        expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, cases[i].unit, cases[i].fragment);
    }
    free(text);
    scratch_remove(&scratch);
}

/* ---- GGUF, by hand -------------------------------------------------------------------------- */

/* Places in the sound file that make_gguf makes. */
struct places {
    size_t version, tensors, entries, key_length, key, string_length, type, alignment, bool_value, item_type,
        item_count, name_length, name, rank, size, second_size, tensor_type, offset, second_name, second_offset, heads,
        end;
};

static void make_gguf(struct places *at)
{
    put_gguf(&bytes, 3, 2, 5);
    at->version = 4;
    at->tensors = 8;
    at->entries = 16;
    at->key_length = bytes.size;
    at->key = bytes.size + 8;
    put_key(&bytes, "general.architecture", 8);
    at->string_length = bytes.size;
    put_string(&bytes, "llama");
    put_key(&bytes, "general.alignment", 4);
    at->type = bytes.size - 4;
    at->alignment = bytes.size;
    put_uint(&bytes, 32, 4);
    put_key(&bytes, "flag", 7);
    at->bool_value = bytes.size;
    put_uint(&bytes, 1, 1);
    put_key(&bytes, "list", 9);
    at->item_type = bytes.size;
    put_uint(&bytes, 4, 4);
    at->item_count = bytes.size;
    put_uint(&bytes, 2, 8);
    put_uint(&bytes, 0, 8);
    put_key(&bytes, "llama.attention.head_count", 4);
    at->heads = bytes.size;
    put_uint(&bytes, 2, 4);
    at->name_length = bytes.size;
    at->name = bytes.size + 8;
    at->rank = at->name + strlen("blk.0.attn_q.weight");
    at->size = at->rank + 4;
    at->second_size = at->size + 8;
    put_tensor(&bytes, "blk.0.attn_q.weight", 32, 4, 8, 0);
    at->tensor_type = bytes.size - 12;
    at->offset = bytes.size - 8;
    at->second_name = bytes.size + 8;
    put_tensor(&bytes, "blk.0.attn_v.weight", 8, 0, 0, 160);
    at->second_offset = bytes.size - 8;
    put_padding(&bytes, 32);
    for (int i = 0; i < 160 + 32; i++)
        put_uint(&bytes, (uint64_t)i, 1);
    at->end = bytes.size;
}

#define AT(member) offsetof(struct places, member)

static const struct {
    const char *name;
    size_t place;
    uint64_t value;
    unsigned width;
    hc_status status;
    const char *fragment;
} patches[] = {
    {"old version", AT(version), 1, 4, HC_ERR_UNSUPPORTED, "GGUF version 1;"},
    {"new version", AT(version), 4, 4, HC_ERR_UNSUPPORTED, "GGUF version 4;"},
    {"big-endian", AT(version), 0x03000000, 4, HC_ERR_UNSUPPORTED, "big-endian"},
    {"many tensors", AT(tensors), 3, 8, HC_ERR_CORRUPT, ""},
    {"very many tensors", AT(tensors), (uint64_t)1 << 60, 8, HC_ERR_CORRUPT, "more tensors than the file can hold"},
    {"all tensors", AT(tensors), UINT64_MAX, 8, HC_ERR_CORRUPT, "more tensors than the file can hold"},
    {"many entries", AT(entries), 6, 8, HC_ERR_CORRUPT, ""},
    {"very many entries", AT(entries), (uint64_t)1 << 60, 8, HC_ERR_CORRUPT, "more metadata than the file can hold"},
    {"no key", AT(key_length), 0, 8, HC_ERR_CORRUPT, "empty or too long"},
    {"long key", AT(key_length), 1 << 20, 8, HC_ERR_CORRUPT, "longer than the file"},
    {"endless key", AT(key_length), UINT64_MAX, 8, HC_ERR_CORRUPT, "longer than the file"},
    {"zero in a key", AT(key), 0, 1, HC_ERR_CORRUPT, "not valid UTF-8"},
    {"no UTF-8 in a key", AT(key), 0xff, 1, HC_ERR_CORRUPT, "not valid UTF-8"},
    {"overlong UTF-8", AT(key), 0x80c0, 2, HC_ERR_CORRUPT, "not valid UTF-8"},
    {"surrogate", AT(key), 0x80a0ed, 3, HC_ERR_CORRUPT, "not valid UTF-8"},
    {"beyond Unicode", AT(key), 0x808090f4, 4, HC_ERR_CORRUPT, "not valid UTF-8"},
    {"endless string", AT(string_length), UINT64_MAX, 8, HC_ERR_CORRUPT, "longer than the file"},
    {"unknown type", AT(type), 13, 4, HC_ERR_CORRUPT, "unknown type"},
    {"alignment no number", AT(type), 6, 4, HC_ERR_CORRUPT, "general.alignment is not a whole number"},
    {"alignment 0", AT(alignment), 0, 4, HC_ERR_CORRUPT, "not a power of two"},
    {"alignment 48", AT(alignment), 48, 4, HC_ERR_CORRUPT, "not a power of two"},
    {"alignment 2^31", AT(alignment), 0x80000000, 4, HC_ERR_CORRUPT, "not a power of two"},
    {"alignment beyond the file", AT(alignment), 1 << 30, 4, HC_ERR_CORRUPT, "tensor 'blk.0.attn_"},
    {"truth value", AT(bool_value), 2, 1, HC_ERR_CORRUPT, "neither 0 nor 1"},
    {"unknown item", AT(item_type), 99, 4, HC_ERR_CORRUPT, "unknown type"},
    {"many items", AT(item_count), 1 << 20, 8, HC_ERR_CORRUPT, "longer than the file"},
    {"items that overflow", AT(item_count), ((uint64_t)1 << 62) + 2, 8, HC_ERR_CORRUPT, "longer than the file"},
    {"strings as items", AT(item_type), 8, 4, HC_ERR_CORRUPT, ""},
    {"no name", AT(name_length), 0, 8, HC_ERR_CORRUPT, "empty or too long"},
    {"same names", AT(second_name), 0, 0, HC_ERR_CORRUPT,
     "tensor 'model.layers.0.self_attn.q_proj.weight': it is there"},
    {"rank 5", AT(rank), 5, 4, HC_ERR_CORRUPT, "tensor 'blk.0.attn_q.weight': it has more than 4 dimensions"},
    {"rank 2^32", AT(rank), 0xffffffff, 4, HC_ERR_CORRUPT, "more than 4 dimensions"},
    {"row of 31", AT(size), 31, 8, HC_ERR_CORRUPT, "not whole blocks"},
    {"row of 2^64", AT(size), UINT64_MAX, 8, HC_ERR_CORRUPT, "overflows"},
    {"product", AT(second_size), (uint64_t)1 << 59, 8, HC_ERR_CORRUPT, "product of its dimensions overflows"},
    {"long rows", AT(size), (uint64_t)1 << 60, 8, HC_ERR_CORRUPT, "beyond the end of the file"},
    {"many rows", AT(second_size), 4096, 8, HC_ERR_CORRUPT, "beyond the end of the file"},
    {"overlap", AT(second_size), 5, 8, HC_ERR_CORRUPT, "tensor 'blk.0.attn_v.weight': its data overlaps"},
    {"odd heads", AT(second_size), 3, 8, HC_ERR_CORRUPT, "cannot be shared out among the heads"},
    {"no heads", AT(heads), 0, 4, HC_ERR_CORRUPT, "cannot be shared out among the heads"},
    {"many heads", AT(heads), 4, 4, HC_ERR_CORRUPT, "cannot be shared out among the heads"},
    {"Q8_1", AT(tensor_type), 9, 4, HC_ERR_UNSUPPORTED, "type Q8_1 is not supported"},
    {"IQ4_XS", AT(tensor_type), 23, 4, HC_ERR_UNSUPPORTED, "type IQ4_XS is not supported"},
    {"removed type", AT(tensor_type), 4, 4, HC_ERR_UNSUPPORTED, "number 4, is not known"},
    {"type 2^31", AT(tensor_type), 0x80000000, 4, HC_ERR_UNSUPPORTED, "is not known"},
    {"type of 256", AT(tensor_type), 12, 4, HC_ERR_CORRUPT, "not whole blocks"},
    {"unaligned", AT(offset), 16, 8, HC_ERR_CORRUPT, "not aligned"},
    {"beyond", AT(offset), 1 << 20, 8, HC_ERR_CORRUPT, "beyond the end of the file"},
    {"far beyond", AT(offset), UINT64_MAX - 31, 8, HC_ERR_CORRUPT, "beyond the end of the file"},
    {"on top", AT(second_offset), 128, 8, HC_ERR_CORRUPT, "overlaps"},
    {"same place", AT(second_offset), 0, 8, HC_ERR_CORRUPT, "overlaps"},
    {"one too far", AT(second_offset), 192, 8, HC_ERR_CORRUPT, "beyond the end of the file"},
};

static size_t place_of(const struct places *at, size_t member)
{
    size_t place;
    memcpy(&place, (const char *)at + member, sizeof place);
    return place;
}

Test(hostile, gguf_patches)
{
    struct scratch scratch;
    struct places at;
    scratch_make(&scratch);
    limit_resources();
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        make_gguf(&at);
        if (patches[i].width > 0)
            patch_uint(&bytes, place_of(&at, patches[i].place), patches[i].value, patches[i].width);
        else
            memcpy(bytes.data + at.second_name, "blk.0.attn_q.weight", 19);
        scratch_write(&scratch, "model", bytes.data, bytes.size);
        expect(scratch_at(&scratch, "model"), patches[i].status, patches[i].name, patches[i].fragment);
    }
    scratch_remove(&scratch);
}

/* Cut anywhere, the file is refused: its last tensor ends where it does. */
Test(hostile, gguf_truncated)
{
    struct scratch scratch;
    struct places at;
    scratch_make(&scratch);
    make_gguf(&at);
    for (size_t size = 4; size < at.end; size++) {
        scratch_write(&scratch, "model", bytes.data, size);
        expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, "truncated", "model: ");
    }
    scratch_remove(&scratch);
}

Test(hostile, gguf_repetitions_and_nesting)
{
    struct scratch scratch;
    scratch_make(&scratch);
    limit_resources();
    put_gguf(&bytes, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_key(&bytes, "twice", 4);
        put_uint(&bytes, 0, 4);
    }
    scratch_write(&scratch, "model", bytes.data, bytes.size);
    expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, "keys", "the key 'twice' is there twice");

    put_gguf(&bytes, 3, 0, 1);
    put_key(&bytes, "split.count", 2);
    put_uint(&bytes, 3, 2);
    scratch_write(&scratch, "model", bytes.data, bytes.size);
    expect(scratch_at(&scratch, "model"), HC_ERR_UNSUPPORTED, "split", "one part of a model in 3");

    put_gguf(&bytes, 3, 0, 1);
    put_key(&bytes, "nested", 9);
    for (int i = 0; i < 4000; i++) {
        put_uint(&bytes, 9, 4);
        put_uint(&bytes, 1, 8);
    }
    scratch_write(&scratch, "model", bytes.data, bytes.size);
    expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, "nesting", "nested too deep");

    put_gguf(&bytes, 3, 1, 1);
    put_key(&bytes, "general.architecture", 8);
    put_string(&bytes, "llama");
    put_tensor(&bytes, "blk.0.ffn_up_exps.weight", 0, (uint64_t)1 << 62, 0, 0);
    scratch_write(&scratch, "model", bytes.data, bytes.size);
    expect(scratch_at(&scratch, "model"), HC_ERR_CORRUPT, "experts", "does not hold experts");
    scratch_remove(&scratch);
}

/* ---- Mutations ------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

/* One of: a flipped bit, another byte, a cut, a number overwritten with one that is hard to bear, bytes moved. */
static void mutate(const uint8_t *sound, size_t size, uint64_t *state)
{
    static const uint64_t hard[] = {0,
                                    1,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    0x7fffffffffffffff,
                                    (uint64_t)1 << 63,
                                    UINT64_MAX,
                                    UINT64_MAX - 7,
                                    (uint64_t)1 << 40};
    memcpy(bytes.data, sound, size);
    bytes.size = size;
    uint64_t changes = 1 + next_random(state) % 3;
    while (changes-- > 0 && bytes.size >= 16) {
        size_t place = (size_t)(next_random(state) % (bytes.size - 8));
        switch (next_random(state) % 5) {
        case 0:
            bytes.data[place] ^= (uint8_t)(1u << (next_random(state) % 8));
            break;
        case 1:
            bytes.data[place] = (uint8_t)next_random(state);
            break;
        case 2:
            bytes.size = place;
            break;
        case 3:
            patch_uint(&bytes, place, hard[next_random(state) % (sizeof hard / sizeof *hard)],
                       next_random(state) % 2 ? 8 : 4);
            break;
        default:
            memmove(bytes.data + place, bytes.data + next_random(state) % (bytes.size - 8), 8);
            break;
        }
    }
}

/* What was let through must be readable to its last weight. */
static void read_all(const struct hc_source *source, const struct hc_kernels *kernels)
{
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct hc_tensor *tensor = &source->tensors[i];
        cr_assert_eq(hc_source_find(source, tensor->name), (int64_t)i);
        cr_assert(tensor->bytes <= sizeof bytes.data && tensor->rank <= HC_MAX_RANK);
        if (hc_type_is_float(tensor->type)) {
            float *out = malloc((size_t)tensor->weights * sizeof *out + 1);
            cr_assert_not_null(out);
            hc_tensor_read(tensor, kernels, 0, tensor->weights, out);
            free(out);
        }
        hc_tensor_drop(tensor);
    }
    if (source->kind == HC_SOURCE_GGUF) {
        json_t *config;
        struct hc_error error = {""};
        hc_status status = hc_gguf_config(source, &config, &error);
        cr_assert(status == (config ? HC_OK : HC_ERR_UNSUPPORTED), "%s", error.text);
        cr_assert(config || error.text[0]);
        json_decref(config);
    }
}

/* Mutates the file `name`, opens `path`; returns how many were let through. */
static unsigned attack(struct scratch *scratch, const char *name, const char *path, unsigned count, uint64_t seed)
{
    static struct bytes sound;
    struct hc_kernels kernels;
    unsigned accepted = 0;
    sound = bytes;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    for (unsigned i = 0; i < count; i++) {
        uint64_t state = seed + i;
        for (int warm = 0; warm < 4; warm++)
            next_random(&state);
        mutate(sound.data, sound.size, &state);
        scratch_write(scratch, name, bytes.data, bytes.size);
        struct hc_source *source;
        struct hc_error error = {""};
        hc_status status = hc_source_open(scratch_at(scratch, path), &source, &error);
        if (status == HC_OK) {
            accepted++;
            read_all(source, &kernels);
            hc_source_close(source);
        } else {
            cr_assert_null(source);
            cr_assert(status == HC_ERR_CORRUPT || status == HC_ERR_UNSUPPORTED || status == HC_ERR_IO,
                      "seed %llu, number %u: status %d: %s", (unsigned long long)seed, i, (int)status, error.text);
            check_message(error.text);
        }
    }
    return accepted;
}

static const char sound_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[5],\"data_offsets\":[24,34]},"
    "\"c\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[34,36]},"
    "\"d\":{\"dtype\":\"I64\",\"shape\":[0,4],\"data_offsets\":[36,36]}}";

Test(hostile, safetensors_mutations)
{
    struct scratch scratch;
    scratch_make(&scratch);
    limit_resources();
    put_safetensors(&bytes, sound_header, 36);
    unsigned accepted = attack(&scratch, "model", "model", 4000, 1);
    cr_assert(accepted > 0 && accepted < 4000, "%u accepted", accepted);
    scratch_remove(&scratch);
}

Test(hostile, index_mutations)
{
    static const char index[] = "{\"metadata\":{\"total_size\":36},\"weight_map\":{\"a\":\"x.safetensors\","
                                "\"b\":\"x.safetensors\",\"c\":\"x.safetensors\",\"d\":\"x.safetensors\"}}";
    struct scratch scratch;
    scratch_make(&scratch);
    limit_resources();
    scratch_folder(&scratch, "model");
    scratch_safetensors(&scratch, "model/x.safetensors", sound_header, 36);
    bytes.size = 0;
    put(&bytes, index, strlen(index));
    unsigned accepted = attack(&scratch, "model/model.safetensors.index.json", "model", 2000, 2);
    cr_assert(accepted > 0 && accepted < 2000, "%u accepted", accepted);
    scratch_remove(&scratch);
}

Test(hostile, gguf_mutations)
{
    struct scratch scratch;
    struct places at;
    scratch_make(&scratch);
    limit_resources();
    make_gguf(&at);
    unsigned accepted = attack(&scratch, "model", "model", 6000, 3);
    cr_assert(accepted > 0 && accepted < 6000, "%u accepted", accepted);
    scratch_remove(&scratch);
}
