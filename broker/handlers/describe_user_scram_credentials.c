/* DescribeUserScramCredentials: no user has any, until there is SASL. */
#include "broker/named.h"
#include "broker/request.h"

HANDLER(describe_user_scram_credentials)
{
    thread_assert(&NET);
    int32_t count = MAX(in->users_count, 0); /* null or none: all users that have some */
    out->results = describe_user_scram_credentials_response_result_array(&req->arena, count);
    out->results_count = count;
    struct map named = {0};
    FOR_EACH (user, in->users, count)
        named_note(&named, user->name);
    for (int i = 0; i < count; i++) {
        struct describe_user_scram_credentials_response_result *o = &out->results[i];
        bool twice = named_twice(&named, in->users[i].name);
        o->user = in->users[i].name;
        o->error_code = twice ? ERR_DUPLICATE_RESOURCE : ERR_RESOURCE_NOT_FOUND;
        o->error_message = twice ? SLICE("The user is named twice in the request")
                                 : SLICE("The user has no SCRAM credentials");
    }
    map_deinit(&named);
    request_reply(req);
}
