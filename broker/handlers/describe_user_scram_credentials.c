/* DescribeUserScramCredentials: no user has any, until there is SASL. */
#include "broker/request.h"

static bool named_twice(const struct describe_user_scram_credentials_request *in, int index)
{
    for (int i = 0; i < in->users_count; i++)
        if (i != index && slice_equal(in->users[i].name, in->users[index].name))
            return true;
    return false;
}

HANDLER(describe_user_scram_credentials)
{
    thread_assert(&NET);
    int32_t count = MAX(in->users_count, 0); /* null or none: all users that have some */
    out->results = describe_user_scram_credentials_response_result_array(&req->arena, count);
    out->results_count = count;
    for (int i = 0; i < count; i++) {
        struct describe_user_scram_credentials_response_result *o = &out->results[i];
        bool twice = named_twice(in, i);
        o->user = in->users[i].name;
        o->error_code = twice ? ERR_DUPLICATE_RESOURCE : ERR_RESOURCE_NOT_FOUND;
        o->error_message = twice ? SLICE("The user is named twice in the request")
                                 : SLICE("The user has no SCRAM credentials");
    }
    request_reply(req);
}
