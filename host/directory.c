#include "directory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "manifest.h"

enum { FOLDERS_DEEP = 2 };

static hc_status no_memory(struct hc_error *error)
{
    return hc_fail(error, HC_ERR_MEMORY, "out of memory while listing a directory");
}

/* ---- Names -------------------------------------------------------------------------------- */

hc_status hc_names_add(struct hc_names *names, const char *name, struct hc_error *error)
{
    if (names->count == names->room) {
        size_t room = names->room ? 2 * names->room : 16;
        char **items = realloc(names->items, room * sizeof *items);
        if (!items)
            return no_memory(error);
        names->items = items;
        names->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return no_memory(error);
    names->items[names->count++] = copy;
    return HC_OK;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void hc_names_sort(struct hc_names *names)
{
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
}

bool hc_names_have(const struct hc_names *names, const char *name)
{
    return names->count > 0 && bsearch(&name, names->items, names->count, sizeof *names->items, compare_names);
}

void hc_names_free(struct hc_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    memset(names, 0, sizeof *names);
}

/* ---- Listing ------------------------------------------------------------------------------ */

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

static bool is_foreign(const char *name)
{
    static const char *const ends[] = {".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".msgpack", ".ot", ".npz"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

hc_status hc_directory_leave_out(struct hc_directory *directory, const char *name, const char *why,
                                 struct hc_error *error)
{
    struct hc_error line; /* for its text: names may hold anything, and lines are shown */
    hc_fail(&line, HC_OK, "%.800s: not copied: %s", name, why);
    return hc_names_add(&directory->left_out, line.text, error);
}

/* Where links may lead: real paths. */
struct roots {
    char *directory;
    char *blobs; /* NULL: no such store */
};

static hc_status find_roots(const char *path, struct roots *roots, struct hc_error *error)
{
    roots->blobs = NULL;
    roots->directory = realpath(path, NULL);
    if (!roots->directory)
        return hc_fail_errno(error, "cannot open the directory %.400s", path);

    char *store = hc_path_join(roots->directory, "../../blobs");
    char *snapshots = hc_path_join(roots->directory, "..");
    char *parent = snapshots ? realpath(snapshots, NULL) : NULL;
    if (store && parent && ends_with(parent, "/snapshots"))
        roots->blobs = realpath(store, NULL);
    free(parent);
    free(snapshots);
    free(store);
    return HC_OK;
}

static bool lies_in(const char *path, const char *root)
{
    size_t length = root ? strlen(root) : 0;
    return length > 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || root[length - 1] == '/');
}

static bool link_stays_inside(const char *path, const struct roots *roots)
{
    char *real = realpath(path, NULL);
    bool inside = real && (lies_in(real, roots->directory) || lies_in(real, roots->blobs));
    free(real);
    return inside;
}

struct listing {
    const char *path; /* of the model */
    struct roots roots;
    struct hc_directory *directory;
    struct hc_error *error;
};

static hc_status list_folder(struct listing *listing, const char *folder, unsigned depth);

static hc_status leave_out(struct listing *listing, const char *relative, const char *why)
{
    return hc_directory_leave_out(listing->directory, relative, why, listing->error);
}

/* The list of a file at the top that may be the model; NULL if it is none. */
static struct hc_names *list_of_weights(struct hc_directory *directory, const char *name)
{
    return ends_with(name, ".safetensors") ? &directory->safetensors
           : ends_with(name, ".gguf")      ? &directory->gguf
           : is_foreign(name)              ? &directory->foreign
                                           : NULL;
}

/* Puts the regular file `relative`, found at `path`, into its list. */
static hc_status list_file(struct listing *listing, const char *relative, const char *path, const struct stat *status,
                           bool is_link)
{
    struct hc_directory *directory = listing->directory;
    bool top = strchr(relative, '/') == NULL;
    struct hc_names *weights = top ? list_of_weights(directory, relative) : NULL;
    if (weights)
        return hc_names_add(weights, relative, listing->error);
    if (strcmp(relative, HC_INDEX_NAME) == 0) {
        directory->indexed = true;
        return HC_OK;
    }
    if (is_foreign(relative) || ends_with(relative, ".gguf") || ends_with(relative, ".bin.index.json"))
        return leave_out(listing, relative, HC_FOREIGN);
    if (top && ends_with(relative, ".safetensors.index.json"))
        return leave_out(listing, relative, HC_UNUSED);
    if (status->st_size > HC_COPY_MAX_BYTES)
        return leave_out(listing, relative, "larger than 64 MiB");
    if (is_link && !link_stays_inside(path, &listing->roots))
        return leave_out(listing, relative, "a link that leads out of the folder");
    return hc_names_add(&directory->copies, relative, listing->error);
}

static hc_status list_entry(struct listing *listing, const char *relative, unsigned depth)
{
    char *path = hc_path_join(listing->path, relative);
    if (!path)
        return no_memory(listing->error);
    hc_status result = HC_OK;
    struct stat status;
    bool found = lstat(path, &status) == 0;
    bool is_link = found && S_ISLNK(status.st_mode);
    bool leads_somewhere = found && (!is_link || stat(path, &status) == 0);
    if (leads_somewhere && S_ISREG(status.st_mode))
        result = list_file(listing, relative, path, &status, is_link);
    else if (leads_somewhere && S_ISDIR(status.st_mode) && !is_link)
        result = depth < FOLDERS_DEEP ? list_folder(listing, relative, depth + 1)
                                      : leave_out(listing, relative, "a folder too deep");
    else if (found) /* or it vanished meanwhile */
        result = leave_out(listing, relative, is_link ? "a link to no file" : "neither file nor folder");
    free(path);
    return result;
}

/* `folder` is relative to the model's directory; NULL: the directory itself. */
static hc_status list_folder(struct listing *listing, const char *folder, unsigned depth)
{
    hc_status status = HC_OK;
    char *path = folder ? hc_path_join(listing->path, folder) : strdup(listing->path);
    DIR *stream = path ? opendir(path) : NULL;
    if (!stream) {
        status =
            path ? hc_fail_errno(listing->error, "cannot open the directory %.400s", path) : no_memory(listing->error);
        goto done;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry)
            break;
        if (entry->d_name[0] == '.')
            continue;
        char *relative = folder ? hc_path_join(folder, entry->d_name) : strdup(entry->d_name);
        status = relative ? list_entry(listing, relative, depth) : no_memory(listing->error);
        free(relative);
        if (status != HC_OK)
            goto done;
    }
    if (errno != 0)
        status = hc_fail_errno(listing->error, "cannot read the directory %.400s", path);
done:
    if (stream)
        closedir(stream);
    free(path);
    return status;
}

hc_status hc_directory_list(const char *path, struct hc_directory *directory, struct hc_error *error)
{
    memset(directory, 0, sizeof *directory);
    struct listing listing = {.path = path, .directory = directory, .error = error};
    hc_status status = find_roots(path, &listing.roots, error);
    if (status == HC_OK)
        status = list_folder(&listing, NULL, 0);
    free(listing.roots.directory);
    free(listing.roots.blobs);
    if (status != HC_OK) {
        hc_directory_free(directory);
        return status;
    }
    hc_names_sort(&directory->safetensors);
    hc_names_sort(&directory->gguf);
    hc_names_sort(&directory->foreign);
    hc_names_sort(&directory->copies);
    hc_names_sort(&directory->left_out);
    return HC_OK;
}

void hc_directory_free(struct hc_directory *directory)
{
    hc_names_free(&directory->safetensors);
    hc_names_free(&directory->gguf);
    hc_names_free(&directory->foreign);
    hc_names_free(&directory->copies);
    hc_names_free(&directory->left_out);
}

hc_status hc_check_replaceable(const char *path, struct hc_error *error)
{
    if (!hc_path_exists(path))
        return HC_OK;
    DIR *folder = opendir(path);
    if (!folder)
        return hc_fail(error, HC_ERR_EXISTS, "%s: is there, and is no folder that --force could replace", path);
    bool any = false, model = false;
    for (struct dirent *entry; !model && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        any = true;
        model = strcmp(entry->d_name, HC_MANIFEST) == 0 || ends_with(entry->d_name, ".safetensors");
    }
    closedir(folder);
    return model || !any ? HC_OK
                         : hc_fail(error, HC_ERR_EXISTS, "%s: holds no model: --force does not replace it", path);
}
