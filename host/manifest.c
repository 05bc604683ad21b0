#include "manifest.h"

#include "description.h"
#include "files.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 64 << 20, DEPTH = 16 };

static hc_status append(json_t *manifest, const char *list, json_t *entry, struct hc_error *error)
{
    if (entry && json_array_append_new(json_object_get(manifest, list), entry) == 0)
        return HC_OK;
    return hc_no_memory(error);
}

hc_status hc_manifest_add_shard(json_t *manifest, const char *name, uint64_t bytes, uint64_t header_bytes,
                                const char *header_checksum, struct hc_error *error)
{
    return append(manifest, "shards",
                  json_pack("{s:s, s:I, s:I, s:s}", "name", name, "bytes", (json_int_t)bytes, "header_bytes",
                            (json_int_t)header_bytes, "header_xxh3", header_checksum),
                  error);
}

hc_status hc_manifest_add_file(json_t *manifest, const char *name, uint64_t bytes, const char *checksum,
                               struct hc_error *error)
{
    return append(manifest, "files",
                  json_pack("{s:s, s:I, s:s}", "name", name, "bytes", (json_int_t)bytes, "xxh3", checksum), error);
}

/* A relative path that stays in its folder. */
static bool is_safe_name(const char *name)
{
    if (name[0] == 0 || name[0] == '/')
        return false;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0))
            return false;
    return true;
}

static bool is_list(const json_t *list, const char *checksum_key)
{
    size_t i;
    json_t *entry;
    if (!json_is_array(list))
        return false;
    json_array_foreach((json_t *)list, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *checksum = json_string_value(json_object_get(entry, checksum_key));
        if (!name || !is_safe_name(name) || !checksum || strlen(checksum) != HC_CHECKSUM_DIGITS ||
            json_integer_value(json_object_get(entry, "bytes")) < 0)
            return false;
    }
    return true;
}

hc_status hc_manifest_read(const char *directory, json_t **manifest, struct hc_error *error)
{
    char *path = hc_path_join(directory, HC_MANIFEST), *text = NULL;
    size_t bytes;
    hc_status status = path ? HC_OK : hc_no_memory(error);
    *manifest = NULL;
    if (status == HC_OK && !hc_path_exists(path)) {
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: there is no " HC_MANIFEST ": not a model that hyperc compressed",
                         directory);
        goto done;
    }
    if (status == HC_OK)
        status = hc_read_file(path, MAX_BYTES, &text, &bytes, error);
    if (status != HC_OK)
        goto done;
    HC_TRY(hc_json_parse(text, bytes, DEPTH, path, manifest, error));
    if (json_integer_value(json_object_get(*manifest, "format")) != HC_FORMAT_VERSION)
        status = hc_fail(error, HC_ERR_UNSUPPORTED, "%s: another version of the format", path);
    else if (!is_list(json_object_get(*manifest, "shards"), "header_xxh3") ||
             !is_list(json_object_get(*manifest, "files"), "xxh3"))
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: malformed", path);
done:
    if (status != HC_OK) {
        json_decref(*manifest);
        *manifest = NULL;
    }
    free(text);
    free(path);
    return status;
}
