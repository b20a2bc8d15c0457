/* Driver of the PoTViT accelerator, for bare metal or anything above it.
 *
 * C99, no allocation, no library beyond <string.h>. What differs between machines is a port: a few
 * functions that read and write registers and copy to and from the accelerator's DRAM. A program
 * file (NAME.potvit) is loaded once into a window of that DRAM; several stay there, and every start
 * names the one to run. Nothing is written before the file is found to be whole and to be compiled
 * for the accelerator that answers.
 *
 *     potvit_device device;
 *     potvit_program digits;
 *     potvit_open(&device, &port);
 *     potvit_load(&device, &digits, file, file_bytes, 0x80000000, 1 << 20);
 *     potvit_start(&device, &digits, picture, sizeof picture);
 *     potvit_wait(&device, 0);
 *     potvit_result(&device, &digits, logits, 10);
 *
 * Every call returns POTVIT_OK or what went wrong; potvit_message says it in words.
 */
#ifndef POTVIT_H
#define POTVIT_H

#include <stddef.h>
#include <stdint.h>

#include "potvit_program.h"
#include "potvit_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the driver reaches the accelerator and its DRAM. All functions but `pause` are needed. */
typedef struct {
    uint32_t (*read)(void *context, uint32_t offset);
    void (*write)(void *context, uint32_t offset, uint32_t value);
    /* Copy between this program's memory and DRAM as the accelerator sees it: with caches, clean
     * after `put` and invalidate before `get`. */
    void (*put)(void *context, uint64_t address, const void *from, size_t bytes);
    void (*get)(void *context, uint64_t address, void *to, size_t bytes);
    /* Called between two looks at STATUS while a run goes on: sleep until the interrupt, or leave
     * it NULL and poll without a pause. */
    void (*pause)(void *context);
    void *context;
} potvit_port;

typedef enum {
    POTVIT_OK = 0,
    POTVIT_NO_DEVICE,      /* ID reads something else: wrong base address, or held in reset */
    POTVIT_OTHER_DEVICE,   /* VERSION's major number is one that this driver does not know */
    POTVIT_NO_PROGRAM,     /* the file is no program file */
    POTVIT_OTHER_FORMAT,   /* of a format that this driver does not read */
    POTVIT_CUT,            /* the file ends too early */
    POTVIT_ALTERED,        /* a checksum is wrong */
    POTVIT_OTHER_CONFIG,   /* compiled for another accelerator than the one that answers */
    POTVIT_NO_ROOM,        /* the window given is smaller than the program needs */
    POTVIT_UNALIGNED,      /* the window's address is no multiple of the bus width */
    POTVIT_BEYOND,         /* the window ends beyond the addresses of the bus */
    POTVIT_WRONG_SIZE,     /* picture or result is not of the program's size */
    POTVIT_BUSY,           /* a run is going on: wait, or cancel it */
    POTVIT_NOT_DONE,       /* no run has ended well since the last start */
    POTVIT_TIMEOUT,        /* the run was still going on after the looks that were allowed */
    POTVIT_FAILED,         /* the run ended with an error: potvit_error has it */
    POTVIT_STUCK           /* the bus does not answer: reset the system */
} potvit_status;

typedef struct {
    const potvit_port *port;
    uint32_t digest;    /* CONFIG_DIGEST */
    uint32_t bus_bytes; /* bytes of a beat */
    uint32_t addr_bits; /* of the bus */
    int running;        /* a start that no wait has seen the end of */
} potvit_device;

/* A program in DRAM. The file's head is kept, its image need not stay. */
typedef struct {
    uint8_t head[POTVIT_HEAD_BYTES];
    uint64_t window; /* DRAM address */
} potvit_program;

typedef struct {
    uint32_t code; /* a code of error_code_e; potvit_error_name has its name */
    uint32_t unit; /* potvit_unit_name has its name */
    uint32_t tag;  /* layer + 1 */
} potvit_failure;

/* Find the accelerator behind `port`, which must stay. It may be running. */
potvit_status potvit_open(potvit_device *device, const potvit_port *port);

/* Check a program file of `bytes` bytes and copy its image to DRAM at `window`, where `room` bytes
 * are the program's from now on. On an error neither the device nor DRAM was touched. */
potvit_status potvit_load(const potvit_device *device, potvit_program *program, const void *file,
                          size_t bytes, uint64_t window, uint64_t room);

/* Put a picture (uint8 rows, columns, channels) into the program's window and start the run.
 * A watchdog ends it after ten times the predicted cycles and 100,000 more. */
potvit_status potvit_start(potvit_device *device, const potvit_program *program,
                           const uint8_t *picture, size_t bytes);

/* Wait for the end of the run, `looks` times at STATUS at most (0: as long as it takes; the
 * watchdog ends it). The interrupt is cleared. */
potvit_status potvit_wait(potvit_device *device, uint32_t looks);

/* Whether the accelerator asks for an interrupt, for a handler of one that is shared. */
int potvit_interrupt(const potvit_device *device);

/* The run's output, `count` elements in the tensor's order, widened to 32 bits. */
potvit_status potvit_result(const potvit_device *device, const potvit_program *program,
                            int32_t *values, size_t count);

/* End the run that goes on, if any, and wait for that; a new start needs no reset. */
potvit_status potvit_cancel(potvit_device *device);

/* First error of the last run. */
potvit_failure potvit_error(const potvit_device *device);

/* A 64-bit counter by the offset of its low half, offsetof(potvit_t, COUNT_CYCLES_LO). */
uint64_t potvit_counter(const potvit_device *device, uint32_t offset);

/* Bytes of DRAM that the program needs, elements of its output, index of the largest of them. */
uint32_t potvit_window_bytes(const potvit_program *program);
uint32_t potvit_output_count(const potvit_program *program);
size_t potvit_best(const int32_t *values, size_t count);

/* One line, without a full stop. */
const char *potvit_message(potvit_status status);
const char *potvit_error_name(uint32_t code);
const char *potvit_unit_name(uint32_t unit);

/* Bytes of window that a program file asks for before it is loaded; 0 for no program file. */
uint32_t potvit_file_window(const void *file, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
