/* Commands of the driver on standard input, one a line; an answer to each on standard output. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulated.h"

#define PLACES 4

static potvit_device device;
static potvit_program programs[PLACES];

static uint8_t *whole(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    if (!file) {
        perror(path);
        exit(4);
    }
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    data = malloc(*bytes + 1);
    if (fread(data, 1, *bytes, file) != *bytes) exit(4);
    fclose(file);
    return data;
}

static void say(potvit_status status)
{
    potvit_failure failure;
    printf("%d %s", (int)status, potvit_message(status));
    if (status == POTVIT_FAILED) {
        failure = potvit_error(&device);
        printf(": %s in %s", potvit_error_name(failure.code), potvit_unit_name(failure.unit));
    }
    printf("\n");
}

static void result(const potvit_program *program)
{
    uint32_t count = potvit_output_count(program), i;
    int32_t *values = malloc(count * sizeof *values);
    potvit_status status = potvit_result(&device, program, values, count);
    if (status != POTVIT_OK) {
        say(status);
    } else {
        printf("%zu:", potvit_best(values, count));
        for (i = 0; i < count; i++) printf(" %" PRId32, values[i]);
        printf("\n");
    }
    free(values);
}

int main(int argc, char **argv)
{
    char verb[16], path[4096];
    unsigned long long window, room;
    unsigned place, looks;
    size_t bytes;
    uint8_t *data;
    if (argc != 2) return 2;
    simulated_open(argv[1]);
    while (scanf("%15s", verb) == 1) {
        if (!strcmp(verb, "open")) {
            say(potvit_open(&device, &simulated_port));
        } else if (!strcmp(verb, "load")) {
            if (scanf("%u %4095s %llu %llu", &place, path, &window, &room) != 4) return 2;
            data = whole(path, &bytes);
            printf("%" PRIu32 " ", potvit_file_window(data, bytes));
            say(potvit_load(&device, &programs[place], data, bytes, window, room));
            free(data); /* the driver keeps the head alone */
        } else if (!strcmp(verb, "start")) {
            if (scanf("%u %4095s", &place, path) != 2) return 2;
            data = whole(path, &bytes);
            say(potvit_start(&device, &programs[place], data, bytes));
            free(data);
        } else if (!strcmp(verb, "wait")) {
            if (scanf("%u", &looks) != 1) return 2;
            say(potvit_wait(&device, looks));
        } else if (!strcmp(verb, "interrupt")) {
            printf("%d\n", potvit_interrupt(&device));
        } else if (!strcmp(verb, "result")) {
            if (scanf("%u", &place) != 1) return 2;
            result(&programs[place]);
        } else if (!strcmp(verb, "cancel")) {
            say(potvit_cancel(&device));
        } else if (!strcmp(verb, "cycles")) {
            printf("%" PRIu64 "\n",
                   potvit_counter(&device, (uint32_t)offsetof(potvit_t, COUNT_CYCLES_LO)));
        } else {
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}
