/* DescribeAcls, CreateAcls, DeleteAcls: there is no authorizer, and they say so. */
#include "broker/request.h"

#define NO_AUTHORIZER SLICE("No Authorizer is configured on the broker")

HANDLER(describe_acls)
{
    thread_assert(&NET);
    out->error_code = ERR_SECURITY_DISABLED;
    out->error_message = NO_AUTHORIZER;
    request_reply(req);
}

HANDLER(create_acls)
{
    thread_assert(&NET);
    out->results = create_acls_response_result_array(&req->arena, in->creations_count);
    out->results_count = in->creations_count;
    for (int i = 0; i < in->creations_count; i++) {
        out->results[i].error_code = ERR_SECURITY_DISABLED;
        out->results[i].error_message = NO_AUTHORIZER;
    }
    request_reply(req);
}

HANDLER(delete_acls)
{
    thread_assert(&NET);
    out->filter_results = delete_acls_response_filter_result_array(&req->arena, in->filters_count);
    out->filter_results_count = in->filters_count;
    for (int i = 0; i < in->filters_count; i++) {
        out->filter_results[i].error_code = ERR_SECURITY_DISABLED;
        out->filter_results[i].error_message = NO_AUTHORIZER;
    }
    request_reply(req);
}
