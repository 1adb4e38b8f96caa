// What a container sees and may do, printed one `name=value` a line; and a few ways to behave.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMPFS 0x01021994

static const char *outcome(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static void try_write(const char *name, const char *path) {
    int file = open(path, O_CREAT | O_WRONLY, 0644);
    printf("%s=%s\n", name, file < 0 ? outcome(-1) : outcome(write(file, "x", 1)));
}

static void status_fields(void) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status)) {
        char *colon = strchr(line, ':');
        if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10)) {
            *colon = 0;
            printf("%s=%s", line, colon + 2);
        }
    }
}

static void network(void) {
    struct if_nameindex *all = if_nameindex();
    printf("interfaces=");
    for (struct if_nameindex *one = all; one->if_index; one++) {
        // The kernel's fallback tunnels appear in every namespace, down and without an address.
        if (!strstr(one->if_name, "tun") && !strstr(one->if_name, "gre") && !strstr(one->if_name, "sit")
            && !strstr(one->if_name, "vti") && !strstr(one->if_name, "erspan") && !strstr(one->if_name, "tnl"))
            printf("%s ", one->if_name);
    }
    printf("\n");
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "192.0.2.1", &there.sin_addr);
    int plug = socket(AF_INET, SOCK_STREAM, 0);
    printf("connect=%s\n", outcome(connect(plug, (struct sockaddr *)&there, sizeof there)));
}

static void tmpfs(const char *name, const char *path) {
    struct statfs fs;
    struct stat s;
    statfs(path, &fs);
    stat(path, &s);
    printf("%s=%s %o %ld\n", name, fs.f_type == TMPFS ? "tmpfs" : "other", s.st_mode & 07777,
           (long)(fs.f_blocks * fs.f_bsize));
}

static void facts(void) {
    char host[64], directory[256];
    gethostname(host, sizeof host);
    printf("uid=%d\ngid=%d\ngroups=%d\npid=%d\nhost=%s\ncwd=%s\n", getuid(), getgid(),
           getgroups(0, NULL), getpid(), host, getcwd(directory, sizeof directory));
    printf("umask=%o\n", umask(022));
    status_fields();
    network();
    try_write("write_root", "/new");
    try_write("write_image", "/etc/new");
    try_write("write_dev", "/dev/new");
    try_write("write_data", "/data/new");
    try_write("write_out", "/out/new");
    try_write("write_tmp", "/tmp/new");
    try_write("write_shm", "/dev/shm/new");
    try_write("write_sysctl", "/proc/sys/kernel/core_pattern");
    try_write("write_null", "/dev/null");
    tmpfs("tmp", "/tmp");
    tmpfs("shm", "/dev/shm");
    printf("setuid=%s\n", outcome(setuid(0)));
    printf("new_user_namespace=%s\n", unshare(CLONE_NEWUSER) < 0 ? "refused" : "ok");
    const char *names[] = {"PATH", "HOME", "HOSTNAME", "IMAGE", "BOTH", "CONTAINER", "SECRET"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        printf("%s=%s\n", names[i], value ? value : "");
    }
    char byte;
    printf("stdin=%zd\n", read(0, &byte, 1));
}

static void forks(int wanted) {
    int started = 0;
    for (; started < wanted; started++) {
        int pid = fork();
        if (pid < 0) break;
        if (!pid) { pause(); _exit(0); }
    }
    printf("forks=%d %s\n", started, started < wanted ? outcome(-1) : "ok");
}

static void interrupted(int signal) {
    (void)signal;
    write(1, "interrupted\n", 12);
    _exit(3);
}

static void await(int deaf) {
    signal(SIGINT, deaf ? SIG_IGN : interrupted);
    printf("ready\n");
    for (;;) pause();
}

static void lines(int count) {
    for (int i = 0; i < count; i++) {
        fprintf(stdout, "out %d\n", i);
        fprintf(stderr, "err %d\n", i);
    }
    printf("last");
}

static void long_line(int length) {
    for (int i = 0; i < length; i++) putchar('x');
    printf("\nnext\n");
}

int main(int count, char **words) {
    const char *verb = count > 1 ? words[1] : "";
    int number = count > 2 ? atoi(words[2]) : 0;
    setvbuf(stdout, NULL, !strcmp(verb, "long") ? _IOFBF : _IOLBF, 0);
    if (!strcmp(verb, "facts")) facts();
    else if (!strcmp(verb, "forks")) forks(number);
    else if (!strcmp(verb, "await")) await(0);
    else if (!strcmp(verb, "deaf")) await(1);
    else if (!strcmp(verb, "lines")) lines(number);
    else if (!strcmp(verb, "long")) long_line(number);
    else if (!strcmp(verb, "crash")) *(volatile int *)0 = 0;
    else if (!strcmp(verb, "silent")) { close(1); close(2); sleep(1); return number; }
    else return number;
    fflush(stdout);
    return 0;
}
