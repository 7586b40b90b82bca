/* Names and kinds of the error codes. */
#include "proto/errors.h"

#include "proto/base/check.h"

static const struct {
    int16_t code;
    const char *name;
    int flags;
} errors[] = {
#define ERROR_ROW(name, code, flags) {code, #name, flags},
    ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
};

/* The list is dense from -1 upwards, which a test proves. */
static int find(int16_t code)
{
    int at = code + 1;
    return at >= 0 && at < (int)ARRAY_COUNT(errors) && errors[at].code == code ? at : -1;
}

const char *error_name(int16_t code)
{
    int at = find(code);
    return at < 0 ? "UNLISTED" : errors[at].name;
}

bool error_is_retriable(int16_t code)
{
    int at = find(code);
    return at >= 0 && (errors[at].flags & ERROR_RETRIABLE) != 0;
}

bool error_refreshes_metadata(int16_t code)
{
    int at = find(code);
    return at >= 0 && (errors[at].flags & ERROR_REFRESH) != 0;
}
