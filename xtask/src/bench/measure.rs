//! What a process takes, as the kernel counts it, and what time it is on the kernel's clock.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

/// Ticks a second of `/proc/<pid>/stat`, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// What a process has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// CPU since its start, with children that have ended; seconds.
    pub(super) cpu: f64,
    /// Resident memory now, MiB.
    pub(super) resident: f64,
    /// The most that was resident at once, MiB.
    pub(super) peak: f64,
}

impl Usage {
    /// Of a running process.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let size = |name: &str| mib(&status, name).with_context(|| format!("find {name} of process {pid}"));
        Ok(Self { cpu: ticks(&stat) / TICKS, resident: size("VmRSS")?, peak: size("VmHWM")? })
    }

    /// Of several together.
    pub(super) fn sum(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let Self { cpu, resident, peak } = Self::of(*pid)?;
            sum.cpu += cpu;
            sum.resident += resident;
            sum.peak += peak;
        }
        Ok(sum)
    }
}

/// A size of the kernel's tables (`VmRSS:  123 kB`), MiB.
fn mib(text: &str, name: &str) -> Option<f64> {
    let size = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    size.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// User and system time of a process and of its children that have ended. The program's name may hold anything.
fn ticks(stat: &str) -> f64 {
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    after.split(' ').skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// Now, on the clock of files' stamps.
#[expect(clippy::disallowed_methods, reason = "compared with stamps that the kernel and the API server made")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// From one moment to a later one, in milliseconds; negative where it is earlier.
pub(super) fn millis(from: SystemTime, to: SystemTime) -> f64 {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    to.duration_since(from).map_or_else(|error| -ms(error.duration()), ms)
}

/// How busy the machine is: processes that run or wait, over 1, 5 and 15 minutes.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Memory of the machine that is in use, MiB: what could not be had without taking it from somebody.
pub(super) fn used() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    let size = |name: &str| mib(&text, name).with_context(|| format!("find {name} in /proc/meminfo"));
    Ok(size("MemTotal")? - size("MemAvailable")?)
}

/// How many processors there are.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_a_name_that_holds_anything() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0";
        assert_eq!(ticks(stat), 127.0);
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(used().unwrap() > usage.resident);
        assert!(usage.resident > 1.0 && usage.peak >= usage.resident * 0.5, "{usage:?}");
    }
}
