/* A port to a simulated system that sim/benches/serve.py serves. */
#ifndef SIMULATED_H
#define SIMULATED_H
#include "potvit.h"

/* Connect; exits with status 3 where nothing listens. */
void simulated_open(const char *path);
extern const potvit_port simulated_port;
#endif
