// A stand-in for NVIDIA's libcuda.so.1 and libnvidia-ml.so.1: the functions that ybox and ytrain ask
// before any computing, answered from the file `table` beside the library. One line a fact:
//
//   driver 580.82.07                  NVML's driver version
//   cuda 13000                        the CUDA version of both libraries
//   gpu NAME; UUID; 7.5; BYTES; FREE BYTES; PCI ADDRESS
//   fail FUNCTION CODE                the function returns that code
//   hang FUNCTION                     the function never returns
//   p2p STATUS                        nvmlDeviceGetP2PStatus of any two GPUs; 0 is "ok"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INVALID_VALUE 1
#define NO_DEVICE 100
#define INVALID_DEVICE 101
#define NVML_INVALID_ARGUMENT 2

struct gpu { char name[96], uuid[48], capability[8], memory[24], free[24], pci[24]; };

static struct { char driver[80]; int cuda, p2p, gpus; struct gpu gpu[16]; } table;

// A pointer into a word of `line`, which is cut behind it.
static char *word(char **line, char end) {
    char *start = *line + strspn(*line, " ");
    char *stop = start + strcspn(start, end == ' ' ? " \n" : ";\n");
    *line = *stop ? stop + 1 : stop;
    *stop = 0;
    return start;
}

static void read_gpu(char *line, struct gpu *gpu) {
    char *fields[] = {gpu->name, gpu->uuid, gpu->capability, gpu->memory, gpu->free, gpu->pci};
    size_t sizes[] = {sizeof gpu->name, sizeof gpu->uuid, sizeof gpu->capability,
                      sizeof gpu->memory, sizeof gpu->free, sizeof gpu->pci};
    for (size_t i = 0; i < 6; i++) snprintf(fields[i], sizes[i], "%s", word(&line, ';'));
}

static FILE *open_table(void) {
    Dl_info self;
    char path[4096];
    if (!dladdr((void *)open_table, &self)) return NULL;
    const char *slash = strrchr(self.dli_fname, '/');
    int length = slash ? (int)(slash - self.dli_fname) : 1;
    snprintf(path, sizeof path, "%.*s/table", length, slash ? self.dli_fname : ".");
    return fopen(path, "r");
}

// Reads the table; the code that `function` has to fail with, or 0.
static int asked(const char *function) {
    char text[512];
    int code = 0;
    FILE *file = open_table();
    memset(&table, 0, sizeof table);
    while (file && fgets(text, sizeof text, file)) {
        char *line = text, *key = word(&line, ' ');
        if (!strcmp(key, "driver")) snprintf(table.driver, sizeof table.driver, "%s", word(&line, ' '));
        else if (!strcmp(key, "cuda")) table.cuda = atoi(word(&line, ' '));
        else if (!strcmp(key, "p2p")) table.p2p = atoi(word(&line, ' '));
        else if (!strcmp(key, "gpu") && table.gpus < 16) read_gpu(line, &table.gpu[table.gpus++]);
        else if (!strcmp(key, "hang") && !strcmp(word(&line, ' '), function)) for (;;) pause();
        else if (!strcmp(key, "fail") && !strcmp(word(&line, ' '), function)) code = atoi(word(&line, ' '));
    }
    if (file) fclose(file);
    return code;
}

#define ASKED(function) do { int code = asked(function); if (code) return code; } while (0)
#define DEVICE(device) \
    ASKED(__func__); if ((device) < 0 || (device) >= table.gpus) return INVALID_DEVICE; \
    struct gpu *gpu = &table.gpu[device]

#ifdef CUDA
int cuInit(unsigned flags) { (void)flags; ASKED("cuInit"); return table.gpus ? 0 : NO_DEVICE; }
int cuDriverGetVersion(int *version) { ASKED("cuDriverGetVersion"); *version = table.cuda; return 0; }
int cuDeviceGetCount(int *count) { ASKED("cuDeviceGetCount"); *count = table.gpus; return 0; }
int cuDeviceGet(int *device, int ordinal) { DEVICE(ordinal); (void)gpu; *device = ordinal; return 0; }

int cuDeviceGetName(char *name, int size, int device) {
    DEVICE(device);
    snprintf(name, (size_t)size, "%s", gpu->name);
    return 0;
}

// The compute capability's two halves, all that is asked.
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    DEVICE(device);
    if (attribute != 75 && attribute != 76) return INVALID_VALUE;
    *value = atoi(attribute == 75 ? gpu->capability : strchr(gpu->capability, '.') + 1);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    DEVICE(device);
    *bytes = (size_t)atoll(gpu->memory);
    return 0;
}

int cuDeviceGetPCIBusId(char *id, int size, int device) {
    DEVICE(device);
    snprintf(id, (size_t)size, "%s", gpu->pci);
    return 0;
}

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    DEVICE(device);
    const char *text = gpu->uuid + strlen("GPU-");
    for (int i = 0; i < 16; i++, text += 2) {
        text += *text == '-';
        uuid[i] = (unsigned char)(digit(text[0]) << 4 | digit(text[1]));
    }
    return 0;
}

int cuDeviceGetUuid(unsigned char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
int cuDeviceTotalMem(size_t *bytes, int device) { return cuDeviceTotalMem_v2(bytes, device); }

int cuGetErrorName(int error, const char **name) { (void)error; *name = "CUDA_ERROR_STAND_IN"; return 0; }
int cuGetErrorString(int error, const char **text) { (void)error; *text = "a stand-in's error"; return 0; }
#endif

#ifdef NVML
struct memory { unsigned version; unsigned long long total, reserved, free, used; };
struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char address[32]; };

int nvmlInit_v2(void) { return asked("nvmlInit_v2"); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int error) { (void)error; return "a stand-in's error"; }

int nvmlSystemGetDriverVersion(char *version, unsigned size) {
    ASKED("nvmlSystemGetDriverVersion");
    snprintf(version, size, "%s", table.driver);
    return 0;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ASKED("nvmlSystemGetCudaDriverVersion_v2");
    *version = table.cuda;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    ASKED("nvmlDeviceGetCount_v2");
    *count = (unsigned)table.gpus;
    return 0;
}

// A handle is the index and one.
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    ASKED("nvmlDeviceGetHandleByIndex_v2");
    if (index >= (unsigned)table.gpus) return NVML_INVALID_ARGUMENT;
    *device = (void *)((size_t)index + 1);
    return 0;
}

#define HANDLE(device) DEVICE((int)(size_t)(device) - 1)

int nvmlDeviceGetName(void *device, char *name, unsigned size) {
    HANDLE(device);
    snprintf(name, size, "%s", gpu->name);
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
    HANDLE(device);
    snprintf(uuid, size, "%s", gpu->uuid);
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    HANDLE(device);
    *major = atoi(gpu->capability);
    *minor = atoi(strchr(gpu->capability, '.') + 1);
    return 0;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory *memory) {
    HANDLE(device);
    memory->total = (unsigned long long)atoll(gpu->memory);
    memory->free = (unsigned long long)atoll(gpu->free);
    memory->used = memory->total - memory->free;
    memory->reserved = 0;
    return 0;
}

// NVML writes the domain with eight digits.
int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci) {
    HANDLE(device);
    memset(pci, 0, sizeof *pci);
    snprintf(pci->address, sizeof pci->address, "0000%.20s", gpu->pci);
    return 0;
}

int nvmlDeviceGetP2PStatus(void *one, void *other, int index, int *status) {
    (void)other, (void)index;
    HANDLE(one);
    (void)gpu;
    *status = table.p2p;
    return 0;
}
#endif
