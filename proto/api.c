/* Looking up the generated table. */
#include "proto/api.h"

const struct api_info *api_find(int16_t key)
{
    size_t low = 0, high = api_table_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (api_table[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < api_table_count && api_table[low].key == key ? &api_table[low] : NULL;
}
