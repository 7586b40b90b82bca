/* Coordinator slots over the active brokers. */
#include "coord/metadata_internal.h"

struct slot_load {
    int32_t node_id;
    int slots;
};

static int loads_of(const struct image *img, struct slot_load *loads)
{
    int count = 0;
    FOR_EACH (b, img->brokers, img->brokers_count) {
        if (image_broker_active(img, (*b)->node_id))
            loads[count++] = (struct slot_load){.node_id = (*b)->node_id};
    }
    for (int i = 0; i < COORDINATOR_SLOTS; i++) {
        FOR_EACH (load, loads, count)
            load->slots += img->slots[i].node_id == load->node_id;
    }
    return count;
}

static struct slot_load *least(struct slot_load *loads, int count)
{
    struct slot_load *found = loads;
    FOR_EACH (load, loads, count) {
        if (load->slots < found->slots)
            found = load;
    }
    return found;
}

static struct slot_load *most(struct slot_load *loads, int count)
{
    struct slot_load *found = loads;
    FOR_EACH (load, loads, count) {
        if (load->slots > found->slots)
            found = load;
    }
    return found;
}

static void move(struct apply *a, int slot, int32_t node_id)
{
    struct image *img = apply_image(a);
    img->slots[slot].node_id = node_id;
    img->slots[slot].epoch++;
    apply_changed(a, (struct change){.kind = CHANGE_SLOT, .number = slot});
}

static int first_slot_of(const struct image *img, int32_t node_id)
{
    int slot = 0;
    while (img->slots[slot].node_id != node_id)
        slot++;
    return slot;
}

void slots_assign(struct apply *a)
{
    size_t brokers = (size_t)a->m->img->brokers_count;
    struct slot_load *loads = arena_need(a->arena, (brokers + 1) * sizeof(*loads));
    int count = loads_of(a->m->img, loads);
    for (int slot = 0; slot < COORDINATOR_SLOTS; slot++) {
        int32_t owner = a->m->img->slots[slot].node_id;
        if (image_broker_active(a->m->img, owner) || (count == 0 && owner < 0))
            continue;
        struct slot_load *to = least(loads, count);
        move(a, slot, count > 0 ? to->node_id : -1);
        if (count > 0)
            to->slots++;
    }
    while (count > 0 && most(loads, count)->slots - least(loads, count)->slots > 1) {
        struct slot_load *from = most(loads, count);
        struct slot_load *to = least(loads, count);
        move(a, first_slot_of(a->m->img, from->node_id), to->node_id);
        from->slots--;
        to->slots++;
    }
}
