/* Driver of the PoTViT accelerator: see potvit.h. */
#include "potvit.h"

#include <string.h>

#define REGISTER(name) ((uint32_t)offsetof(potvit_t, name))
#define ENTRY(name) (POTVIT_HEAD_##name)

/* Looks at STATUS after an abort; the accelerator gives the bus up after 65,536 cycles. */
#define PATIENCE 1000000u

static uint32_t get(const potvit_device *device, uint32_t offset)
{
    return device->port->read(device->port->context, offset);
}

static void set(const potvit_device *device, uint32_t offset, uint32_t value)
{
    device->port->write(device->port->context, offset, value);
}

static void rest(const potvit_device *device)
{
    if (device->port->pause) device->port->pause(device->port->context);
}

/* Numbers of a head lie at any byte. */
static uint32_t number(const uint8_t *head, size_t at)
{
    return (uint32_t)head[at] | (uint32_t)head[at + 1] << 8 | (uint32_t)head[at + 2] << 16 |
           (uint32_t)head[at + 3] << 24;
}

static uint32_t crc(uint32_t value, const uint8_t *from, size_t bytes)
{
    /* Half a byte at a time: sixteen words of table instead of a kilobyte. */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    size_t i;
    value = ~value;
    for (i = 0; i < bytes; i++) {
        value = table[(value ^ from[i]) & 15] ^ value >> 4;
        value = table[(value ^ (uint32_t)(from[i] >> 4)) & 15] ^ value >> 4;
    }
    return ~value;
}

static uint32_t head_crc(const uint8_t *head)
{
    static const uint8_t zero[4] = {0, 0, 0, 0};
    uint32_t value = crc(0, head, ENTRY(HEAD_CRC));
    value = crc(value, zero, 4);
    return crc(value, head + ENTRY(HEAD_CRC) + 4, POTVIT_HEAD_BYTES - ENTRY(HEAD_CRC) - 4);
}

/* A part of the file: where it is, that it is there, and that it is whole. */
static potvit_status part(const uint8_t *file, size_t bytes, size_t entry)
{
    uint32_t at = number(file, entry), size = number(file, entry + 4);
    if (at > bytes || size > bytes - at) return POTVIT_CUT;
    return crc(0, file + at, size) == number(file, entry + 8) ? POTVIT_OK : POTVIT_ALTERED;
}

static potvit_status check_head(const uint8_t *file, size_t bytes)
{
    if (bytes < 8 || memcmp(file, POTVIT_MAGIC, 8) != 0) return POTVIT_NO_PROGRAM;
    if (bytes < POTVIT_HEAD_BYTES) return POTVIT_CUT;
    if (number(file, ENTRY(VERSION)) != POTVIT_FORMAT) return POTVIT_OTHER_FORMAT;
    return head_crc(file) == number(file, ENTRY(HEAD_CRC)) ? POTVIT_OK : POTVIT_ALTERED;
}

/* Whether what the head says of picture and output lies within the window: checksums tell accidents,
 * this tells a writer's mistake before it reaches memory of others. */
static int sane(const uint8_t *head)
{
    uint64_t window = number(head, ENTRY(WINDOW));
    uint32_t axes = number(head, ENTRY(OUTPUT_AXES)), rank = number(head, ENTRY(OUTPUT_RANK)), i;
    uint64_t words = number(head, ENTRY(OUTPUT_WORDS));
    if (number(head, ENTRY(IMAGE_BYTES)) > window || axes > POTVIT_AXES || rank > POTVIT_AXES ||
        number(head, ENTRY(OUTPUT_TYPE)) >= POTVIT_TYPES ||
        number(head, ENTRY(OUTPUT_WORD_BYTES)) == 0 ||
        (uint64_t)number(head, ENTRY(PICTURE_AT)) + number(head, ENTRY(PICTURE_SIZE)) > window ||
        number(head, ENTRY(OUTPUT_AT)) + words * number(head, ENTRY(OUTPUT_PITCH)) > window)
        return 0;
    for (i = 0; i < axes; i++)
        if (number(head, ENTRY(OUTPUT_DIMS) + 4 * i) == 0 ||
            number(head, ENTRY(OUTPUT_ORDER) + 4 * i) >= axes)
            return 0;
    for (i = 0; i < rank; i++)
        if (number(head, ENTRY(OUTPUT_CROP) + 4 * i) == 0) return 0;
    return 1;
}

potvit_status potvit_open(potvit_device *device, const potvit_port *port)
{
    memset(device, 0, sizeof *device);
    device->port = port;
    if (get(device, REGISTER(ID)) != POTVIT__ID__VALUE_reset) return POTVIT_NO_DEVICE;
    if (get(device, REGISTER(VERSION)) >> 16 != POTVIT__VERSION__VALUE_reset >> 16)
        return POTVIT_OTHER_DEVICE;
    device->digest = get(device, REGISTER(CONFIG_DIGEST));
    device->bus_bytes = get(device, REGISTER(PARAM_AXI_BYTES));
    device->addr_bits = get(device, REGISTER(PARAM_AXI_ADDR_BITS));
    if (device->addr_bits > POTVIT_ADDR_BITS) device->addr_bits = POTVIT_ADDR_BITS;
    device->running = (get(device, REGISTER(STATUS)) & POTVIT__STATUS__BUSY_bm) != 0;
    return POTVIT_OK;
}

potvit_status potvit_load(const potvit_device *device, potvit_program *program, const void *file,
                          size_t bytes, uint64_t window, uint64_t room)
{
    const uint8_t *from = file;
    uint32_t need, image;
    uint64_t space = (uint64_t)1 << device->addr_bits;
    potvit_status status = check_head(from, bytes);
    if (status == POTVIT_OK) status = part(from, bytes, ENTRY(IMAGE_OFFSET));
    if (status == POTVIT_OK) status = part(from, bytes, ENTRY(TEXT_OFFSET));
    if (status == POTVIT_OK && !sane(from)) status = POTVIT_ALTERED;
    if (status != POTVIT_OK) return status;
    need = number(from, ENTRY(WINDOW));
    image = number(from, ENTRY(IMAGE_BYTES));
    if (number(from, ENTRY(DIGEST)) != device->digest) return POTVIT_OTHER_CONFIG;
    if (need > room) return POTVIT_NO_ROOM;
    if (window % device->bus_bytes != 0) return POTVIT_UNALIGNED;
    if (window > space || need > space - window) return POTVIT_BEYOND;
    memcpy(program->head, from, POTVIT_HEAD_BYTES);
    program->window = window;
    device->port->put(device->port->context, window, from + number(from, ENTRY(IMAGE_OFFSET)),
                      image);
    return POTVIT_OK;
}

potvit_status potvit_start(potvit_device *device, const potvit_program *program,
                           const uint8_t *picture, size_t bytes)
{
    const uint8_t *head = program->head;
    uint64_t cycles = number(head, ENTRY(CYCLES)) |
                      (uint64_t)number(head, ENTRY(CYCLES) + 4) << 32;
    uint64_t most = cycles * POTVIT_WATCHDOG_TIMES + POTVIT_WATCHDOG_MORE;
    if (get(device, REGISTER(STATUS)) & POTVIT__STATUS__BUSY_bm) return POTVIT_BUSY;
    if (get(device, REGISTER(STATUS)) & POTVIT__STATUS__STUCK_bm) return POTVIT_STUCK;
    if (bytes != number(head, ENTRY(PICTURE_SIZE))) return POTVIT_WRONG_SIZE;
    device->port->put(device->port->context, program->window + number(head, ENTRY(PICTURE_AT)),
                      picture, bytes);
    set(device, REGISTER(WINDOW_BASE_LO), (uint32_t)program->window);
    set(device, REGISTER(WINDOW_BASE_HI), (uint32_t)(program->window >> 32));
    set(device, REGISTER(WINDOW_SIZE), number(head, ENTRY(WINDOW)));
    set(device, REGISTER(PROGRAM_OFFSET), number(head, ENTRY(ENTRY)));
    set(device, REGISTER(PROGRAM_COUNT), number(head, ENTRY(COUNT)));
    set(device, REGISTER(WATCHDOG), most > UINT32_MAX ? UINT32_MAX : (uint32_t)most);
    set(device, REGISTER(IRQ_STATUS), POTVIT__IRQ_STATUS__DONE_bm | POTVIT__IRQ_STATUS__ERROR_bm);
    set(device, REGISTER(IRQ_ENABLE), POTVIT__IRQ_ENABLE__DONE_bm | POTVIT__IRQ_ENABLE__ERROR_bm);
    set(device, REGISTER(CONTROL), POTVIT__CONTROL__START_bm);
    device->running = 1;
    return POTVIT_OK;
}

potvit_status potvit_wait(potvit_device *device, uint32_t looks)
{
    uint32_t status, left = looks;
    for (;;) {
        status = get(device, REGISTER(STATUS));
        if (status & POTVIT__STATUS__STUCK_bm) return POTVIT_STUCK;
        if (!(status & POTVIT__STATUS__BUSY_bm)) break;
        if (looks && --left == 0) return POTVIT_TIMEOUT;
        rest(device);
    }
    set(device, REGISTER(IRQ_STATUS), POTVIT__IRQ_STATUS__DONE_bm | POTVIT__IRQ_STATUS__ERROR_bm);
    device->running = 0;
    if (status & POTVIT__STATUS__ERROR_bm) return POTVIT_FAILED;
    return status & POTVIT__STATUS__DONE_bm ? POTVIT_OK : POTVIT_NOT_DONE;
}

int potvit_interrupt(const potvit_device *device)
{
    return (get(device, REGISTER(IRQ_STATUS)) & get(device, REGISTER(IRQ_ENABLE))) != 0;
}

potvit_status potvit_cancel(potvit_device *device)
{
    potvit_status status;
    set(device, REGISTER(CONTROL), POTVIT__CONTROL__ABORT_bm);
    status = potvit_wait(device, PATIENCE);
    return status == POTVIT_STUCK || status == POTVIT_TIMEOUT ? POTVIT_STUCK : POTVIT_OK;
}

/* Offset in the window of element `index` of the output: the tensor's axes are merged from axes of
 * the memory words' elements, which lie there in another order. */
static uint64_t element(const uint8_t *head, uint32_t index, uint32_t bytes)
{
    uint32_t axes = number(head, ENTRY(OUTPUT_AXES)), rank = number(head, ENTRY(OUTPUT_RANK));
    uint32_t place[POTVIT_AXES], at[POTVIT_AXES];
    uint64_t flat = 0, from;
    uint32_t i, axis, length;
    for (i = rank; i-- > 0;) {
        length = number(head, ENTRY(OUTPUT_CROP) + 4 * i);
        place[i] = index % length;
        index /= length;
    }
    for (i = 0; i < rank; i++)
        flat = flat * number(head, ENTRY(OUTPUT_MERGED) + 4 * i) + place[i];
    for (i = axes; i-- > 0;) {
        axis = number(head, ENTRY(OUTPUT_ORDER) + 4 * i);
        length = number(head, ENTRY(OUTPUT_DIMS) + 4 * axis);
        at[axis] = (uint32_t)(flat % length);
        flat /= length;
    }
    from = 0;
    for (i = 0; i < axes; i++) from = from * number(head, ENTRY(OUTPUT_DIMS) + 4 * i) + at[i];
    from *= bytes;
    length = number(head, ENTRY(OUTPUT_WORD_BYTES));
    return number(head, ENTRY(OUTPUT_AT)) + from / length * number(head, ENTRY(OUTPUT_PITCH)) +
           from % length;
}

potvit_status potvit_result(const potvit_device *device, const potvit_program *program,
                            int32_t *values, size_t count)
{
    static const uint8_t sizes[] = POTVIT_TYPE_BYTES, is_signed[] = POTVIT_TYPE_SIGNED;
    const uint8_t *head = program->head;
    uint32_t type = number(head, ENTRY(OUTPUT_TYPE)), bytes, i, sign;
    uint32_t value;
    uint8_t raw[4];
    if (count != number(head, ENTRY(OUTPUT_COUNT))) return POTVIT_WRONG_SIZE;
    if (device->running || !(get(device, REGISTER(STATUS)) & POTVIT__STATUS__DONE_bm))
        return POTVIT_NOT_DONE;
    bytes = sizes[type];
    for (i = 0; i < count; i++) {
        memset(raw, 0, sizeof raw);
        device->port->get(device->port->context, program->window + element(head, i, bytes), raw,
                          bytes);
        value = number(raw, 0);
        sign = (uint32_t)1 << (8 * bytes - 1);
        if (is_signed[type] && bytes < 4 && value & sign) value |= ~(sign | (sign - 1));
        memcpy(&values[i], &value, sizeof value);
    }
    return POTVIT_OK;
}

potvit_failure potvit_error(const potvit_device *device)
{
    uint32_t error = get(device, REGISTER(ERROR));
    potvit_failure failure;
    failure.code = (error & POTVIT__ERROR__CODE_bm) >> POTVIT__ERROR__CODE_bp;
    failure.unit = (error & POTVIT__ERROR__UNIT_bm) >> POTVIT__ERROR__UNIT_bp;
    failure.tag = (error & POTVIT__ERROR__TAG_bm) >> POTVIT__ERROR__TAG_bp;
    return failure;
}

uint64_t potvit_counter(const potvit_device *device, uint32_t offset)
{
    uint64_t low = get(device, offset); /* latches the high half */
    return low | (uint64_t)get(device, offset + 4) << 32;
}

uint32_t potvit_window_bytes(const potvit_program *program)
{
    return number(program->head, ENTRY(WINDOW));
}

uint32_t potvit_output_count(const potvit_program *program)
{
    return number(program->head, ENTRY(OUTPUT_COUNT));
}

uint32_t potvit_file_window(const void *file, size_t bytes)
{
    return check_head(file, bytes) == POTVIT_OK ? number(file, ENTRY(WINDOW)) : 0;
}

size_t potvit_best(const int32_t *values, size_t count)
{
    size_t i, best = 0;
    for (i = 1; i < count; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

const char *potvit_message(potvit_status status)
{
    static const char *const messages[] = {
        "all is well",
        "no accelerator answers there: wrong base address, or held in reset",
        "the accelerator is of a release that this driver does not know",
        "the file is no program file: potvit compile writes one",
        "the program file is of a format that this driver does not read: compile it again",
        "the program file is cut: copy or compile it again",
        "the program file is altered: copy or compile it again",
        "the program was compiled for another configuration than the accelerator's: compile it for "
        "that one",
        "the window has less room than the program needs",
        "the window's address is no multiple of the bus width",
        "the window ends beyond the addresses of the bus",
        "the picture or the result is not of the program's size",
        "a run is going on: wait for its end or cancel it",
        "no run has ended well since the last start",
        "the run was still going on",
        "the run ended with an error",
        "the bus does not answer: reset the system",
    };
    size_t index = (size_t)status;
    return index < sizeof messages / sizeof *messages ? messages[index] : "unknown status";
}

const char *potvit_error_name(uint32_t code)
{
    static const char *const names[] = POTVIT_ERROR_NAMES;
    return code < sizeof names / sizeof *names ? names[code] : "unknown error";
}

const char *potvit_unit_name(uint32_t unit)
{
    static const char *const names[] = POTVIT_UNIT_NAMES;
    return unit < sizeof names / sizeof *names ? names[unit] : "unknown unit";
}
