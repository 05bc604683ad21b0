/* Directories of models: shards, indices, what is copied; reading and dropping. */
#include "scratch.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "source.h"

#define X(name, begin, end) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[" begin "," end "]}"

static const char two[] = "{" X("b", "0", "2") "," X("d", "2", "4") "}";
static const char one[] = "{" X("a", "0", "2") "}";

static struct hc_source *open_sound(const char *path)
{
    struct hc_source *source;
    struct hc_error error = {""};
    cr_assert_eq(hc_source_open(path, &source, &error), HC_OK, "%s", error.text);
    return source;
}

static void expect_failure(const char *path, hc_status status, const char *fragment)
{
    struct hc_source *source;
    struct hc_error error = {""};
    hc_status outcome = hc_source_open(path, &source, &error);
    cr_assert_eq(outcome, status, "status %d: %s", (int)outcome, error.text);
    cr_assert_null(source);
    cr_assert(strstr(error.text, fragment), "'%s' does not say '%s'", error.text, fragment);
}

/* Shards in the order of their names, whatever the order of the index. */
Test(source, shards_with_index)
{
    struct scratch scratch;
    scratch_make(&scratch);
    scratch_safetensors(&scratch, "model-2.safetensors", two, 4);
    scratch_safetensors(&scratch, "model-1.safetensors", one, 2);
    scratch_safetensors(&scratch, "consolidated.safetensors", one, 2); /* not in the index */
    scratch_text(&scratch, "model.safetensors.index.json",
                 "{\"metadata\":{\"total_size\":6},\"weight_map\":{\"d\":\"model-2.safetensors\","
                 "\"b\":\"model-2.safetensors\",\"a\":\"model-1.safetensors\"}}");
    struct hc_source *source = open_sound(scratch.root);
    cr_assert_eq(source->kind, HC_SOURCE_DIRECTORY);
    cr_assert_eq(source->file_count, 2);
    cr_assert_str_eq(source->files[0].name, "model-1.safetensors");
    cr_assert_eq(source->tensor_count, 3);
    cr_assert_str_eq(source->tensors[1].name, "b");
    cr_assert_eq(source->tensors[1].file, 1);
    cr_assert_eq(hc_source_find(source, "d"), 2);
    cr_assert_eq(source->copy_count, 0);
    hc_source_close(source);
    scratch_remove(&scratch);
}

Test(source, shards_without_index)
{
    struct scratch scratch;
    scratch_make(&scratch);
    scratch_safetensors(&scratch, "y.safetensors", two, 4);
    scratch_safetensors(&scratch, "x.safetensors", one, 2);
    struct hc_source *source = open_sound(scratch.root);
    cr_assert_eq(source->file_count, 2);
    cr_assert_str_eq(source->tensors[0].name, "a");
    hc_source_close(source);
    /* model.safetensors alone is the model, as transformers has it. */
    scratch_safetensors(&scratch, "model.safetensors", two, 4);
    source = open_sound(scratch.root);
    cr_assert_eq(source->file_count, 1);
    cr_assert_eq(source->tensor_count, 2);
    hc_source_close(source);
    scratch_remove(&scratch);
}

Test(source, faults_of_directories)
{
    static const char index[] = "model.safetensors.index.json";
    struct scratch scratch;
    scratch_make(&scratch);
    expect_failure(scratch.root, HC_ERR_UNSUPPORTED, "holds no model");
    expect_failure(scratch_at(&scratch, "absent"), HC_ERR_IO, "No such file");
    scratch_text(&scratch, "pytorch_model.bin", "x");
    expect_failure(scratch.root, HC_ERR_UNSUPPORTED, "pytorch_model.bin only");
    scratch_text(&scratch, "a.gguf", "x");
    scratch_text(&scratch, "b.gguf", "x");
    expect_failure(scratch.root, HC_ERR_UNSUPPORTED, "2 GGUF files");

    scratch_safetensors(&scratch, "1.safetensors", one, 2);
    scratch_safetensors(&scratch, "2.safetensors", two, 4);
    scratch_safetensors(&scratch, "3.safetensors", one, 2);
    expect_failure(scratch.root, HC_ERR_CORRUPT, "tensor 'a': it is there twice (also in 1.safetensors)");

    static const struct {
        const char *index;
        hc_status status;
        const char *fragment;
    } cases[] = {
        {"", HC_ERR_CORRUPT, "index.json is not valid JSON"},
        {"[]", HC_ERR_CORRUPT, "not a JSON object"},
        {"{}", HC_ERR_CORRUPT, "weight_map is missing"},
        {"{\"weight_map\":{}}", HC_ERR_CORRUPT, "lists no tensors"},
        {"{\"weight_map\":[]}", HC_ERR_CORRUPT, "weight_map is missing"},
        {"{\"weight_map\":{\"a\":1}}", HC_ERR_CORRUPT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", HC_ERR_CORRUPT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", HC_ERR_CORRUPT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", HC_ERR_CORRUPT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", HC_ERR_CORRUPT, "not a plain file name"},
        {"{\"weight_map\":{\"a\":\"9.safetensors\"}}", HC_ERR_IO, "9.safetensors: No such file"},
        {"{\"weight_map\":{\"a\":\"folder\"}}", HC_ERR_IO, "folder is a directory"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"c\":\"1.safetensors\"}}", HC_ERR_CORRUPT,
         "tensor 'c': it is not in its shard 1.safetensors"},
        {"{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"2.safetensors\"}}", HC_ERR_CORRUPT,
         "tensor 'a': it is not in its shard 2.safetensors"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\",\"d\":\"2.safetensors\"}}", HC_ERR_CORRUPT,
         "tensor 'b': it is not in its shard 1.safetensors"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"x\":\"3.safetensors\"}}", HC_ERR_CORRUPT, "it is there twice"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}}", HC_ERR_CORRUPT, "duplicate"},
        {"{\"metadata\":[[[[[[[[[[]]]]]]]]]]}", HC_ERR_CORRUPT, "nested more than 8 levels"},
    };
    scratch_folder(&scratch, "folder");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_text(&scratch, index, cases[i].index);
        expect_failure(scratch.root, cases[i].status, cases[i].fragment);
    }
    scratch_remove(&scratch);
}

Test(source, faults_of_paths)
{
    struct scratch scratch;
    scratch_make(&scratch);
    cr_assert_eq(mkfifo(scratch_at(&scratch, "pipe"), 0600), 0);
    expect_failure(scratch.path, HC_ERR_IO, "not a regular file");
    expect_failure("", HC_ERR_IO, "cannot open");
    expect_failure("/dev/null", HC_ERR_IO, "not a regular file");
    scratch_folder(&scratch, "model.safetensors"); /* a folder called like a file: it holds nothing */
    expect_failure(scratch.path, HC_ERR_UNSUPPORTED, "holds no model");
    scratch_remove(&scratch);
}

Test(source, unreadable_file)
{
    struct scratch scratch;
    if (geteuid() == 0)
        cr_skip_test("root reads everything");
    scratch_make(&scratch);
    scratch_safetensors(&scratch, "secret", one, 2);
    cr_assert_eq(chmod(scratch_at(&scratch, "secret"), 0), 0);
    expect_failure(scratch.path, HC_ERR_IO, "Permission denied");
    scratch_remove(&scratch);
}

static void expect_names(char *const *names, size_t count, const char *const *expected, size_t expected_count)
{
    for (size_t i = 0; i < count && i < expected_count; i++)
        cr_assert_str_eq(names[i], expected[i]);
    cr_assert_eq(count, expected_count);
}

/* Everything but weights and hidden files, two folders deep; no link that leads out, but for those of a Hugging Face
 * cache. What is not copied is told. */
Test(source, copies)
{
    static const char *const expected[] = {"1_Pooling/config.json", "a/b/deep.txt", "a/part.safetensors",
                                           "config.json",           "inner.txt",    "stored.txt",
                                           "tokenizer.json"};
    static const char *const left_out[] = {"a/b/c: not copied: a folder too deep",
                                           "a/huge.safetensors: not copied: larger than 64 MiB",
                                           "a/part.bin: not copied: of a format that is not read",
                                           "dangling.txt: not copied: a link to no file",
                                           "huge.txt: not copied: larger than 64 MiB",
                                           "loop: not copied: a link to no file",
                                           "model.onnx: not copied: of a format that is not read",
                                           "model.safetensors.index.json: not copied: not a part of the model",
                                           "other.gguf: not copied: not a part of the model",
                                           "other.safetensors.index.json: not copied: not a part of the model",
                                           "other.safetensors: not copied: not a part of the model",
                                           "outer.txt: not copied: a link that leads out of the folder",
                                           "pipe: not copied: neither file nor folder",
                                           "pytorch_model.bin: not copied: of a format that is not read"};
    static const char *const folders[] = {"hub",
                                          "hub/blobs",
                                          "hub/snapshots",
                                          "hub/snapshots/1",
                                          "hub/snapshots/1/a",
                                          "hub/snapshots/1/a/b",
                                          "hub/snapshots/1/a/b/c",
                                          "hub/snapshots/1/1_Pooling",
                                          "hub/snapshots/1/.git"};
    static const char *const files[] = {"outside.txt",
                                        "hub/blobs/0123",
                                        "hub/snapshots/1/config.json",
                                        "hub/snapshots/1/tokenizer.json",
                                        "hub/snapshots/1/pytorch_model.bin",
                                        "hub/snapshots/1/model.onnx",
                                        "hub/snapshots/1/model.safetensors.index.json",
                                        "hub/snapshots/1/other.gguf",
                                        "hub/snapshots/1/other.safetensors",
                                        "hub/snapshots/1/other.safetensors.index.json",
                                        "hub/snapshots/1/.gitattributes",
                                        "hub/snapshots/1/.git/config",
                                        "hub/snapshots/1/a/b/c/too_deep.txt",
                                        "hub/snapshots/1/a/b/deep.txt",
                                        "hub/snapshots/1/a/huge.safetensors",
                                        "hub/snapshots/1/a/part.bin",
                                        "hub/snapshots/1/a/part.safetensors",
                                        "hub/snapshots/1/1_Pooling/config.json",
                                        "hub/snapshots/1/huge.txt"};
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        scratch_folder(&scratch, folders[i]);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        scratch_text(&scratch, files[i], "text");
    cr_assert_eq(truncate(scratch_at(&scratch, "hub/snapshots/1/huge.txt"), (64 << 20) + 1), 0);
    cr_assert_eq(truncate(scratch_at(&scratch, "hub/snapshots/1/a/huge.safetensors"), (64 << 20) + 1), 0);
    cr_assert_eq(mkfifo(scratch_at(&scratch, "hub/snapshots/1/pipe"), 0600), 0);
    cr_assert_eq(symlink("../../blobs/0123", scratch_at(&scratch, "hub/snapshots/1/stored.txt")), 0);
    cr_assert_eq(symlink("../../../outside.txt", scratch_at(&scratch, "hub/snapshots/1/outer.txt")), 0);
    cr_assert_eq(symlink("a/b/deep.txt", scratch_at(&scratch, "hub/snapshots/1/inner.txt")), 0);
    cr_assert_eq(symlink("nowhere", scratch_at(&scratch, "hub/snapshots/1/dangling.txt")), 0);
    cr_assert_eq(symlink("..", scratch_at(&scratch, "hub/snapshots/1/loop")), 0);
    scratch_safetensors(&scratch, "hub/snapshots/1/model.safetensors", one, 2);

    struct hc_source *source = open_sound(scratch_at(&scratch, "hub/snapshots/1///"));
    cr_assert_str_eq(source->path + strlen(source->path) - 2, "/1");
    expect_names(source->copies, source->copy_count, expected, sizeof expected / sizeof *expected);
    expect_names(source->left_out, source->left_out_count, left_out, sizeof left_out / sizeof *left_out);
    hc_source_close(source);
    scratch_remove(&scratch);
}

/* A directory with one GGUF file. */
Test(source, gguf_in_a_directory)
{
    static struct bytes bytes;
    struct scratch scratch;
    scratch_make(&scratch);
    put_gguf(&bytes, 3, 0, 0);
    scratch_write(&scratch, "model.gguf", bytes.data, bytes.size);
    scratch_text(&scratch, "README.md", "text");
    struct hc_source *source = open_sound(scratch.root);
    cr_assert_eq(source->kind, HC_SOURCE_GGUF);
    cr_assert_eq(source->tensor_count, 0);
    cr_assert_eq(source->copy_count, 1);
    hc_source_close(source);
    scratch_remove(&scratch);
}

/* Bytes of the mapping that are in memory as pages of this process. */
static long resident_bytes(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;
    long kilobytes = -1;
    cr_assert_not_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            inside = begin <= (uintptr_t)address && (uintptr_t)address < end;
        else if (inside && sscanf(line, "Rss: %ld kB", &kilobytes) == 1)
            break;
    }
    fclose(maps);
    return kilobytes * 1024;
}

/* Dropped pages leave the process, and come back unchanged when they are read again. */
Test(source, drop)
{
    enum { BYTES = 8 << 20 };
    char header[200];
    struct scratch scratch;
    scratch_make(&scratch);
    snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", BYTES / 4,
             BYTES);
    uint8_t *data = malloc(8 + strlen(header) + BYTES);
    float *weights = malloc(BYTES);
    cr_assert(data && weights);
    memset(data, 0, 8);
    data[0] = (uint8_t)strlen(header);
    memcpy(data + 8, header, strlen(header));
    memset(data + 8 + strlen(header), 0x3f, BYTES);
    scratch_write(&scratch, "m.safetensors", data, 8 + strlen(header) + BYTES);

    struct hc_source *source = open_sound(scratch_at(&scratch, "m.safetensors"));
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    for (int round = 0; round < 2; round++) {
        hc_tensor_read(&source->tensors[0], &kernels, 0, BYTES / 4, weights);
        cr_assert(memcmp(weights, data + 8 + strlen(header), BYTES) == 0);
        cr_assert(resident_bytes(source->tensors[0].data) > BYTES / 2);
        hc_tensor_drop(&source->tensors[0]);
        cr_assert(resident_bytes(source->tensors[0].data) < BYTES / 8);
    }
    hc_source_close(source);
    free(weights);
    free(data);
    scratch_remove(&scratch);
}

static uintptr_t asked_from, asked_to;
static size_t longest_advice;

/* In the place of the C library's: what is asked for has no gaps. */
int madvise(void *address, size_t bytes, int advice)
{
    if (advice != MADV_WILLNEED)
        return (int)syscall(SYS_madvise, address, bytes, advice);
    cr_assert(asked_to == 0 || (uintptr_t)address == asked_to, "a gap");
    asked_from = asked_to ? asked_from : (uintptr_t)address;
    asked_to = (uintptr_t)address + bytes;
    longest_advice = bytes > longest_advice ? bytes : longest_advice;
    return 0;
}

static void expect_prefetch(const struct hc_tensor *tensor, uint64_t first, uint64_t count, uint64_t begin,
                            uint64_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)tensor->data + begin;
    asked_to = 0;
    hc_tensor_prefetch(tensor, first, count);
    cr_assert(from - asked_from < page && asked_from % page == 0);
    cr_assert_eq(asked_to - asked_from, bytes);
    cr_assert_leq(longest_advice, 128 << 10); /* Linux may heed no more of one */
}

Test(source, prefetch)
{
    enum { MEBIBYTE = 1 << 20 };
    /* Nothing looks at the address. */
    struct hc_tensor plain = {.type = HC_TYPE_F16, .data = (const uint8_t *)(uintptr_t)0x10012340, .weights = 1 << 27};
    struct hc_tensor blocks = {.type = HC_TYPE_Q8_0, .data = plain.data, .weights = 1 << 27};
    expect_prefetch(&plain, 0, 5 * MEBIBYTE, 0, 10 * MEBIBYTE);
    expect_prefetch(&plain, 7000, 100000, 14000, 200000);
    expect_prefetch(&plain, 0, plain.weights, 0, 64 * MEBIBYTE);
    expect_prefetch(&blocks, 32 << 15, 32 << 15, 34 << 15, 34 << 15);
}

Test(source, types)
{
    uint64_t bytes;
    cr_assert(hc_type_bytes(HC_TYPE_Q4_K, 512, &bytes) && bytes == 288);
    cr_assert_not(hc_type_bytes(HC_TYPE_Q4_K, 511, &bytes));
    cr_assert_not(hc_type_bytes(HC_TYPE_F64, UINT64_MAX, &bytes));
    cr_assert(hc_type_bytes(HC_TYPE_U8, UINT64_MAX, &bytes) && bytes == UINT64_MAX);
    cr_assert_str_eq(hc_type_name(HC_TYPE_COUNT), "unknown");
    for (int i = 0; i < HC_TYPE_COUNT; i++)
        cr_assert_str_neq(hc_type_name((hc_type)i), "");
}
