/* A whole program for bare metal: fill in the addresses, link a program file and a picture in
 * (for instance with objcopy -I binary), and call classify(). */
#include <string.h>

#include "potvit.h"

#define REGISTERS ((volatile uint8_t *)0xa0000000u) /* where s_axil is mapped */
#define DRAM_HERE ((uint8_t *)0x40000000u)          /* DRAM as this processor sees it */
#define DRAM_THERE 0x40000000u                      /* DRAM as the accelerator sees it */
#define DRAM_BYTES 0x10000000u

static uint32_t read_register(void *context, uint32_t offset)
{
    (void)context;
    return *(volatile uint32_t *)(REGISTERS + offset);
}

static void write_register(void *context, uint32_t offset, uint32_t value)
{
    (void)context;
    *(volatile uint32_t *)(REGISTERS + offset) = value;
}

static void put(void *context, uint64_t address, const void *from, size_t bytes)
{
    (void)context;
    memcpy(DRAM_HERE + (address - DRAM_THERE), from, bytes); /* with a cache: clean it here */
}

static void get(void *context, uint64_t address, void *to, size_t bytes)
{
    (void)context;
    memcpy(to, DRAM_HERE + (address - DRAM_THERE), bytes); /* with a cache: invalidate it before */
}

static const potvit_port port = {read_register, write_register, put, get, NULL, NULL};

/* The likeliest class of `picture`, or a negative status. `values` has room for the output. */
int classify(const void *file, size_t file_bytes, const uint8_t *picture, size_t picture_bytes,
             int32_t *values, size_t count)
{
    potvit_device device;
    potvit_program program;
    potvit_status status = potvit_open(&device, &port);
    if (status == POTVIT_OK)
        status = potvit_load(&device, &program, file, file_bytes, DRAM_THERE, DRAM_BYTES);
    if (status == POTVIT_OK) status = potvit_start(&device, &program, picture, picture_bytes);
    if (status == POTVIT_OK) status = potvit_wait(&device, 0);
    if (status == POTVIT_OK) status = potvit_result(&device, &program, values, count);
    return status == POTVIT_OK ? (int)potvit_best(values, count) : -(int)status;
}
