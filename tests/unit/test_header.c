/* Headers as they are written: padded to 64, and what our own reader makes of them. */
#include "scratch.h"

#include "header.h"
#include "source.h"

static uint64_t little_endian(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static struct hc_header make_header(void)
{
    static const uint64_t matrix[] = {3, 2}, codes[] = {64};
    struct hc_header header;
    struct hc_error error = {""};
    cr_assert_eq(hc_header_begin(&header, &error), HC_OK);
    cr_assert_eq(hc_header_metadata(&header, "format", "pt", &error), HC_OK);
    cr_assert_eq(hc_header_metadata(&header, "key \"quoted\"", "{\"a\":\"\\n\xc3\xbc\"}", &error), HC_OK);
    cr_assert_eq(hc_header_tensor(&header, "x.hc_codes", HC_TYPE_U8, 1, codes, 64, &error), HC_OK);
    cr_assert_eq(hc_header_tensor(&header, "matrix \"\xc3\xbc\"", HC_TYPE_BF16, 2, matrix, 12, &error), HC_OK);
    cr_assert_eq(hc_header_tensor(&header, "scalar", HC_TYPE_U8, 0, NULL, 1, &error), HC_OK);
    cr_assert_eq(header.offset, 77);
    return header;
}

/* Length, text, and nothing but spaces behind it. */
static void check_padding(const uint8_t *bytes, size_t length)
{
    cr_assert_eq(length % 64, 0);
    cr_assert_eq(little_endian(bytes), length - 8);
    cr_assert_eq(bytes[8], '{');
    size_t end = length;
    while (bytes[end - 1] == ' ')
        end--;
    cr_assert_eq(bytes[end - 1], '}');
}

static void check_source(struct scratch *scratch)
{
    struct hc_source *source;
    struct hc_error error = {""};
    cr_assert_eq(hc_source_open(scratch->path, &source, &error), HC_OK, "%s", error.text);
    cr_assert_eq(source->tensor_count, 3);
    const struct hc_tensor *codes = &source->tensors[0], *matrix = &source->tensors[1], *scalar = &source->tensors[2];
    cr_assert_str_eq(codes->name, "x.hc_codes");
    cr_assert_eq((codes->data - source->files[0].data) % 64, 0);
    cr_assert_str_eq(matrix->name, "matrix \"\xc3\xbc\"");
    cr_assert_eq(matrix->type, HC_TYPE_BF16);
    cr_assert_eq(matrix->rank, 2);
    cr_assert_eq(matrix->shape[0], 3);
    cr_assert_eq(matrix->shape[1], 2);
    cr_assert_eq(matrix->data - codes->data, 64);
    cr_assert_eq(scalar->rank, 0);
    cr_assert_eq(scalar->weights, 1);
    cr_assert_eq(source->files[0].metadata_count, 2);
    cr_assert_str_eq(source->files[0].metadata_keys[1], "key \"quoted\"");
    cr_assert_str_eq(source->files[0].metadata_values[1], "{\"a\":\"\\n\xc3\xbc\"}");
    hc_source_close(source);
}

Test(header, written_and_read)
{
    struct hc_header header = make_header();
    struct hc_error error = {""};
    struct scratch scratch;
    uint8_t *bytes, data[77] = {0};
    size_t least, length;
    scratch_make(&scratch);
    cr_assert_eq(hc_header_bytes(&header, 0, &bytes, &least, &error), HC_OK);
    check_padding(bytes, least);
    free(bytes);

    for (uint64_t reserve = least; reserve <= least + 192; reserve += 64) {
        cr_assert_eq(hc_header_bytes(&header, reserve, &bytes, &length, &error), HC_OK, "%s", error.text);
        cr_assert_eq(length, reserve);
        check_padding(bytes, length);
        FILE *file = fopen(scratch_at(&scratch, "model.safetensors"), "wb");
        cr_assert_not_null(file);
        cr_assert_eq(fwrite(bytes, 1, length, file), length);
        cr_assert_eq(fwrite(data, 1, sizeof data, file), sizeof data);
        cr_assert_eq(fclose(file), 0);
        free(bytes);
        check_source(&scratch);
    }
    cr_assert_eq(hc_header_bytes(&header, least - 64, &bytes, &length, &error), HC_ERR_UNSUPPORTED);
    cr_assert(strstr(error.text, "larger than"), "%s", error.text);
    hc_header_end(&header);
    scratch_remove(&scratch);
}

/* Every length of the text modulo 64, the full and the empty remainder included. */
Test(header, every_remainder)
{
    char name[80];
    for (int n = 1; n <= 70; n++) {
        struct hc_header header;
        struct hc_error error = {""};
        uint8_t *bytes;
        size_t length;
        memset(name, 'n', (size_t)n);
        name[n] = 0;
        cr_assert_eq(hc_header_begin(&header, &error), HC_OK);
        cr_assert_eq(hc_header_metadata(&header, name, "", &error), HC_OK);
        cr_assert_eq(hc_header_bytes(&header, 0, &bytes, &length, &error), HC_OK);
        check_padding(bytes, length);
        size_t text = strlen("{\"__metadata__\":{\"\":\"\"}}") + (size_t)n;
        cr_assert_eq(length, (8 + text + 63) / 64 * 64);
        free(bytes);
        hc_header_end(&header);
    }
}
