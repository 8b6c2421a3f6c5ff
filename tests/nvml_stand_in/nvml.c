/* A stand-in for NVIDIA's libnvidia-ml.so.1, loaded by the real pynvml bindings in tests.
 *
 * The environment variable NVML_STAND_IN names a text file of lines "key value", read again
 * whenever it changes. "device" begins a GPU; see parse_line for the keys. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
enum { MAX_DEVICES = 8, MAX_INSTANCES = 7, MAX_PROCESSES = 16, TEXT = 96 };

typedef struct { uint32_t pid; uint64_t bytes; } process_t;
typedef struct device {
    struct device *board; /* itself, unless a MIG instance */
    char name[TEXT], uuid[TEXT], unsupported[1024];
    double watts, counter_watts, joules;
    unsigned utilization, sm_clock, memory_clock, temperature, lost;
    uint64_t memory_total, memory_used, reasons;
    process_t processes[MAX_PROCESSES];
    unsigned process_count;
    struct device *instances[MAX_INSTANCES];
    unsigned instance_count;
} device_t;

static device_t boards[MAX_DEVICES], instances[MAX_DEVICES * MAX_INSTANCES];
static unsigned board_count, instance_count, no_driver;
static char driver[TEXT];
static struct timespec loaded, changed;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (loaded.tv_sec == 0) loaded = now;
    return (double)(now.tv_sec - loaded.tv_sec) + (double)(now.tv_nsec - loaded.tv_nsec) * 1e-9;
}

static void parse_line(char *key, const char *value)
{
    device_t *d = board_count ? &boards[board_count - 1] : NULL;
    if (!strcmp(key, "driver")) { snprintf(driver, TEXT, "%s", value); return; }
    if (!strcmp(key, "no_driver")) { no_driver = (unsigned)atoi(value); return; }
    if (!strcmp(key, "device")) {
        d = &boards[board_count++];
        memset(d, 0, sizeof *d);
        d->board = d;
        d->counter_watts = -1;
        return;
    }
    if (!d) return;
    if (!strcmp(key, "name")) snprintf(d->name, TEXT, "%s", value);
    else if (!strcmp(key, "uuid")) snprintf(d->uuid, TEXT, "%s", value);
    else if (!strcmp(key, "unsupported")) snprintf(d->unsupported, sizeof d->unsupported, " %s ", value);
    else if (!strcmp(key, "watts")) d->watts = atof(value);
    else if (!strcmp(key, "counter_watts")) d->counter_watts = atof(value);
    else if (!strcmp(key, "joules")) d->joules = atof(value);
    else if (!strcmp(key, "utilization")) d->utilization = (unsigned)atoi(value);
    else if (!strcmp(key, "sm_clock")) d->sm_clock = (unsigned)atoi(value);
    else if (!strcmp(key, "memory_clock")) d->memory_clock = (unsigned)atoi(value);
    else if (!strcmp(key, "temperature")) d->temperature = (unsigned)atoi(value);
    else if (!strcmp(key, "lost")) d->lost = (unsigned)atoi(value);
    else if (!strcmp(key, "memory_total")) d->memory_total = strtoull(value, NULL, 10);
    else if (!strcmp(key, "memory_used")) d->memory_used = strtoull(value, NULL, 10);
    else if (!strcmp(key, "reasons")) d->reasons = strtoull(value, NULL, 0);
    else if (!strcmp(key, "process")) {
        process_t *p = &d->processes[d->process_count++];
        sscanf(value, "%u %lu", &p->pid, &p->bytes);
    } else if (!strcmp(key, "mig")) { /* UUID of an instance, with the memory it uses */
        device_t *m = &instances[instance_count++];
        memset(m, 0, sizeof *m);
        m->board = d;
        snprintf(m->name, TEXT, "%.80s MIG", d->name);
        sscanf(value, "%95s %lu", m->uuid, &m->memory_used);
        d->instances[d->instance_count++] = m;
    }
}

static void configure(void)
{
    const char *path = getenv("NVML_STAND_IN");
    struct stat status;
    char line[1200];
    if (!path || stat(path, &status)) return;
    if (status.st_mtim.tv_sec == changed.tv_sec && status.st_mtim.tv_nsec == changed.tv_nsec) return;
    changed = status.st_mtim;
    board_count = instance_count = no_driver = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *value = strchr(line, ' ');
        if (value) *value++ = 0;
        parse_line(line, value ? value : "");
    }
    if (file) fclose(file);
}

static int check(device_t *d, const char *function)
{
    char word[128];
    configure();
    if (!d) return INVALID_ARGUMENT;
    if (d->board->lost) return GPU_IS_LOST;
    snprintf(word, sizeof word, " %s ", function);
    return strstr(d->board->unsupported, word) ? NOT_SUPPORTED : SUCCESS;
}

#define ENTER(d) do { int code = check((d), __func__); if (code) return code; } while (0)
#define BOARD_ONLY(d) do { if ((d)->board != (d)) return NOT_SUPPORTED; } while (0)

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    seconds();
    configure();
    return no_driver ? DRIVER_NOT_LOADED : SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "stand-in error"; }

int nvmlSystemGetDriverVersion(char *text, unsigned length)
{
    configure();
    snprintf(text, length, "%s", driver);
    return SUCCESS;
}
int nvmlDeviceGetCount_v2(unsigned *count) { configure(); *count = board_count; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t **d)
{
    configure();
    if (index >= board_count) return INVALID_ARGUMENT;
    *d = &boards[index];
    return (*d)->lost ? GPU_IS_LOST : SUCCESS;
}
int nvmlDeviceGetName(device_t *d, char *text, unsigned length)
{
    ENTER(d);
    snprintf(text, length, "%s", d->name);
    return SUCCESS;
}
int nvmlDeviceGetUUID(device_t *d, char *text, unsigned length)
{
    ENTER(d);
    snprintf(text, length, "%s", d->uuid);
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(device_t *d, unsigned *count)
{
    ENTER(d);
    *count = MAX_INSTANCES;
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(device_t *d, unsigned index, device_t **instance)
{
    ENTER(d);
    if (index >= d->instance_count) return NOT_FOUND;
    *instance = d->instances[index];
    return SUCCESS;
}
int nvmlDeviceGetTotalEnergyConsumption(device_t *d, unsigned long long *millijoules)
{
    ENTER(d);
    BOARD_ONLY(d);
    double watts = d->counter_watts < 0 ? d->watts : d->counter_watts;
    *millijoules = (unsigned long long)((d->joules + watts * seconds()) * 1e3);
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(device_t *d, unsigned *milliwatts)
{
    ENTER(d);
    BOARD_ONLY(d);
    *milliwatts = (unsigned)(d->watts * 1e3);
    return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(device_t *d, unsigned rates[2])
{
    ENTER(d);
    BOARD_ONLY(d);
    rates[0] = d->utilization;
    rates[1] = d->utilization / 2;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(device_t *d, unsigned long long info[3])
{
    ENTER(d);
    info[0] = d->memory_total;
    info[1] = d->memory_total - d->memory_used;
    info[2] = d->memory_used;
    return SUCCESS;
}
int nvmlDeviceGetClockInfo(device_t *d, int type, unsigned *megahertz)
{
    ENTER(d);
    BOARD_ONLY(d);
    *megahertz = type == 1 ? d->sm_clock : d->memory_clock;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(device_t *d, int sensor, unsigned *degrees)
{
    ENTER(d);
    (void)sensor;
    *degrees = d->temperature;
    return SUCCESS;
}
int nvmlDeviceGetTemperatureV(device_t *d, int fields[3])
{
    ENTER(d);
    fields[2] = (int)d->temperature;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksEventReasons(device_t *d, unsigned long long *reasons)
{
    ENTER(d);
    *reasons = d->reasons;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(device_t *d, unsigned long long *reasons)
{
    ENTER(d);
    *reasons = d->reasons;
    return SUCCESS;
}

typedef struct { uint32_t pid; uint64_t bytes; uint32_t gpu_instance, compute_instance; } info_t;

int nvmlDeviceGetComputeRunningProcesses_v3(device_t *d, unsigned *count, info_t *infos)
{
    ENTER(d);
    unsigned room = *count;
    *count = d->process_count;
    if (!d->process_count) return SUCCESS;
    if (!infos || room < d->process_count) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < d->process_count; i++)
        infos[i] = (info_t){ d->processes[i].pid, d->processes[i].bytes, ~0u, ~0u };
    return SUCCESS;
}
