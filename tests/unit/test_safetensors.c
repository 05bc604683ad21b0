/* The safetensors reader on sound files; test_hostile.c has the others. */
#include "scratch.h"

#include "source.h"

static struct hc_source *open_sound(const char *path)
{
    struct hc_source *source;
    struct hc_error error = {""};
    cr_assert_eq(hc_source_open(path, &source, &error), HC_OK, "%s", error.text);
    return source;
}

Test(safetensors, every_type)
{
    static const struct {
        const char *name;
        size_t bytes;
        bool is_float;
    } types[] = {{"F64", 8, true},     {"F32", 4, true},  {"F16", 2, true},  {"BF16", 2, true}, {"F8_E4M3", 1, true},
                 {"F8_E5M2", 1, true}, {"I64", 8, false}, {"U64", 8, false}, {"I32", 4, false}, {"U32", 4, false},
                 {"I16", 2, false},    {"U16", 2, false}, {"I8", 1, false},  {"U8", 1, false},  {"BOOL", 1, false}};
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char header[200];
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}",
                 types[i].name, 3 * types[i].bytes);
        scratch_safetensors(&scratch, "m.safetensors", header, 3 * types[i].bytes);
        struct hc_source *source = open_sound(scratch_at(&scratch, "m.safetensors"));
        cr_assert_eq(source->tensor_count, 1);
        const struct hc_tensor *tensor = &source->tensors[0];
        cr_assert_str_eq(hc_type_name(tensor->type), types[i].name);
        cr_assert_eq(tensor->bytes, 3 * types[i].bytes);
        cr_assert_eq(hc_type_is_float(tensor->type), types[i].is_float);
        cr_assert_not(hc_type_is_block(tensor->type));
        cr_assert_eq(tensor->data[1], 1);
        hc_source_close(source);
    }
    scratch_remove(&scratch);
}

/* Order of offsets, not of the header; scalars, empty tensors, metadata in its own order, spaces at the end. */
Test(safetensors, shapes_order_and_metadata)
{
    static const char header[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},"
                                 "\"__metadata__\":{\"z\":\"1\",\"a\":\"two\"},"
                                 "\"empty\":{\"dtype\":\"F16\",\"shape\":[5,0,7],\"data_offsets\":[4,4]},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                                 "\"deep\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[28,30]},"
                                 "\"last\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[30,30]}}   ";
    struct scratch scratch;
    scratch_make(&scratch);
    scratch_safetensors(&scratch, "m.safetensors", header, 30);
    struct hc_source *source = open_sound(scratch_at(&scratch, "m.safetensors"));

    static const char *const names[] = {"a", "empty", "b", "deep", "last"};
    cr_assert_eq(source->kind, HC_SOURCE_FILE);
    cr_assert_eq(source->tensor_count, 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_str_eq(source->tensors[i].name, names[i]);
        cr_assert_eq(hc_source_find(source, names[i]), (int64_t)i);
    }
    cr_assert_eq(hc_source_find(source, "c"), -1);
    cr_assert_eq(source->tensors[0].rank, 0);
    cr_assert_eq(source->tensors[0].weights, 1);
    cr_assert_eq(source->tensors[1].weights, 0);
    cr_assert_eq(source->tensors[1].shape[2], 7);
    cr_assert_eq(source->tensors[2].shape[0], 2);
    cr_assert_eq(source->tensors[2].data[0], 4);
    cr_assert_eq(source->tensors[3].rank, 8);

    const struct hc_file *file = &source->files[0];
    cr_assert_str_eq(file->name, "m.safetensors");
    cr_assert_eq(file->data_offset, 8 + strlen(header));
    cr_assert_eq(file->metadata_count, 2);
    cr_assert_str_eq(file->metadata_keys[0], "z");
    cr_assert_str_eq(file->metadata_values[1], "two");
    hc_source_close(source);
    scratch_remove(&scratch);
}

Test(safetensors, no_tensors)
{
    struct scratch scratch;
    scratch_make(&scratch);
    scratch_safetensors(&scratch, "m.safetensors", "{}", 0);
    struct hc_source *source = open_sound(scratch_at(&scratch, "m.safetensors"));
    cr_assert_eq(source->tensor_count, 0);
    cr_assert_eq(hc_source_find(source, ""), -1);
    hc_source_close(source);
    scratch_remove(&scratch);
}

/* Floats of every type, at odd addresses, as float32. */
Test(safetensors, values)
{
    static const char header[] = "{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                 "\"f32\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
                                 "\"f16\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[9,13]},"
                                 "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[13,17]},"
                                 "\"f64\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[17,33]},"
                                 "\"e4m3\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[33,35]},"
                                 "\"e5m2\":{\"dtype\":\"F8_E5M2\",\"shape\":[2],\"data_offsets\":[35,37]}}";
    static struct bytes bytes;
    const double doubles[2] = {1.5, -2.0};
    put_safetensors(&bytes, header, 0);
    put_uint(&bytes, 0, 1);
    put_float(&bytes, 1.5f);
    put_float(&bytes, -2.0f);
    put_uint(&bytes, 0xc0003e00, 4);
    put_uint(&bytes, 0xc0003fc0, 4);
    put(&bytes, doubles, sizeof doubles);
    put_uint(&bytes, 0xc03c, 2);
    put_uint(&bytes, 0xc03e, 2);
    struct scratch scratch;
    scratch_make(&scratch);
    scratch_write(&scratch, "m.safetensors", bytes.data, bytes.size);
    struct hc_source *source = open_sound(scratch_at(&scratch, "m.safetensors"));

    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    for (size_t i = 1; i < source->tensor_count; i++) {
        float out[2] = {0, 0};
        hc_tensor_read(&source->tensors[i], &kernels, 0, 2, out);
        cr_assert(out[0] == 1.5f && out[1] == -2.0f, "%s: %a %a", source->tensors[i].name, (double)out[0],
                  (double)out[1]);
        hc_tensor_read(&source->tensors[i], &kernels, 1, 1, out);
        cr_assert(out[0] == -2.0f);
    }
    hc_source_close(source);
    scratch_remove(&scratch);
}
