/* Holds a pod's namespaces: waits until it is told to end, and takes in orphans where the pod shares its processes. */
#include <signal.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, SIG_IGN); /* Linux: children that end leave nothing behind. */
  for (;;) pause();
}
