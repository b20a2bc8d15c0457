#define _POSIX_C_SOURCE 200809L
#include "simulated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int handle = -1;

static void all(int writes, void *data, size_t bytes)
{
    uint8_t *at = data;
    while (bytes) {
        ssize_t done = writes ? write(handle, at, bytes) : read(handle, at, bytes);
        if (done <= 0) {
            fprintf(stderr, "the simulation ended\n");
            exit(3);
        }
        at += done;
        bytes -= (size_t)done;
    }
}

static void ask(char operation, uint32_t number, uint64_t address)
{
    uint8_t request[16] = {0};
    int i;
    request[0] = (uint8_t)operation;
    for (i = 0; i < 4; i++) request[4 + i] = (uint8_t)(number >> 8 * i);
    for (i = 0; i < 8; i++) request[8 + i] = (uint8_t)(address >> 8 * i);
    all(1, request, sizeof request);
}

static uint32_t answer(void)
{
    uint8_t raw[4];
    all(0, raw, sizeof raw);
    return (uint32_t)raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 |
           (uint32_t)raw[3] << 24;
}

static uint32_t read_register(void *context, uint32_t offset)
{
    (void)context;
    ask('R', 0, offset);
    return answer();
}

static void write_register(void *context, uint32_t offset, uint32_t value)
{
    (void)context;
    ask('W', value, offset);
    answer();
}

static void put(void *context, uint64_t address, const void *from, size_t bytes)
{
    uint8_t *copy = malloc(bytes);
    (void)context;
    memcpy(copy, from, bytes);
    ask('P', (uint32_t)bytes, address);
    all(1, copy, bytes);
    free(copy);
    answer();
}

static void get(void *context, uint64_t address, void *to, size_t bytes)
{
    (void)context;
    ask('G', (uint32_t)bytes, address);
    all(0, to, bytes);
}

static void wait_for_interrupt(void *context)
{
    (void)context;
    ask('I', 0, 0);
    answer();
}

const potvit_port simulated_port = {read_register, write_register, put, get, wait_for_interrupt,
                                    NULL};

void simulated_open(const char *path)
{
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    handle = socket(AF_UNIX, SOCK_STREAM, 0);
    if (handle < 0 || connect(handle, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(path);
        exit(3);
    }
}
