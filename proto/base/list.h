/*
 * Intrusive doubly linked list: the link lives in the item, so that an item is removed in O(1) and
 * nothing is allocated. A node that is in no list has next == NULL.
 */
#pragma once

#include <stdbool.h>

#include "proto/base/check.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *node)
{
    return node->next != NULL;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

/* Harmless for a node that is in no list. */
static inline void list_remove(struct list *node)
{
    if (node->next == NULL)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

static inline struct list *list_pop_front(struct list *head)
{
    struct list *node = head->next;
    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

/* Move every node of `from` behind the nodes of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    struct list *node;
    while ((node = list_pop_front(from)) != NULL)
        list_push_back(to, node);
}

/* Safe against removal of `item` inside the loop. */
#define LIST_FOR_EACH(item, head, type, member)                                                    \
    for (type *item = CONTAINER_OF((head)->next, type, member),                                    \
              *item##_next_ = CONTAINER_OF(item->member.next, type, member);                       \
         &item->member != (head);                                                                  \
         item = item##_next_, item##_next_ = CONTAINER_OF(item->member.next, type, member))
