/* A program as its author would write it who has nothing but what is installed: compresses a tiny model and reads it
 * back. Argument: a directory to make and work in. */
#include <hyperc/hyperc.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { WEIGHTS = 256 };

static float weight(int i)
{
    return (float)((i * 37) % WEIGHTS) / (WEIGHTS * 20) - 0.025f;
}

/* One tensor of float32 on a little-endian machine. */
static int write_model(const char *path)
{
    char header[128];
    unsigned char length[8] = {0};
    float weights[WEIGHTS];
    int n = snprintf(header, sizeof header,
                     "{\"layer.weight\":{\"dtype\":\"F32\",\"shape\":[16,16],\"data_offsets\":[0,%d]}}",
                     (int)sizeof weights);
    FILE *file = fopen(path, "wb");
    if (!file)
        return 0;
    for (int i = 0; i < WEIGHTS; i++)
        weights[i] = weight(i);
    length[0] = (unsigned char)n;
    int good = fwrite(length, 1, 8, file) == 8 && fwrite(header, 1, (size_t)n, file) == (size_t)n &&
               fwrite(weights, sizeof weights, 1, file) == 1;
    return fclose(file) == 0 && good;
}

static hc_status round_trip(hc_context *context, const char *input, const char *output)
{
    hc_compress_options options;
    hc_model *model = NULL;
    hc_tensor_info info;
    float weights[WEIGHTS];

    hc_compress_options_init(&options);
    hc_status status = hc_compress(context, input, output, &options);
    if (status == HC_OK)
        status = hc_model_open(context, output, &model);
    if (status == HC_OK)
        status = hc_model_tensor(model, 0, &info);
    if (status == HC_OK && (!info.method || strcmp(info.name, "layer.weight") != 0 || info.weights != WEIGHTS))
        status = HC_ERR_DIFFERENT;
    if (status == HC_OK)
        status = hc_model_read(context, model, 0, 0, WEIGHTS, weights);
    for (int i = 0; status == HC_OK && i < WEIGHTS; i++)
        if (!(fabsf(weights[i] - weight(i)) <= 0.004f))
            status = HC_ERR_DIFFERENT;
    hc_model_close(model);
    return status;
}

int main(int argc, char **argv)
{
    char input[4096], output[4096];
    hc_context *context = NULL;
    if (argc != 2 || mkdir(argv[1], 0777) != 0)
        return 2;
    snprintf(input, sizeof input, "%s/model.safetensors", argv[1]);
    snprintf(output, sizeof output, "%s/compressed", argv[1]);
    if (!write_model(input)) {
        perror(input);
        return 1;
    }
    hc_status status = hc_context_create(&context, NULL);
    if (status == HC_OK)
        status = round_trip(context, input, output);
    if (status != HC_OK)
        fprintf(stderr, "hyperc %s: %s: %s\n", hc_version(), hc_status_name(status),
                context ? hc_message(context) : "");
    hc_context_destroy(context);
    return status == HC_OK ? 0 : 1;
}
