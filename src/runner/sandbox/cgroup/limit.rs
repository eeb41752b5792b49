//! The limits of one group. Set one by one with the crate's setters: its `apply` swallows a memory limit
//! that could not be set.
use std::io;
use std::path::Path;

use cgroups_rs::blkio::BlkIoController;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::memory::{MemController, SetMemory};
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, Controller as _, MaxValue};

use super::disk::Disk;
use super::tree::put;
use crate::runner::Limits;

/// Microseconds over which processor time is counted.
const PERIOD: u32 = 100_000;

/// Errors: memory, processes or processor time could not be limited. The rest is best effort: kernels and
/// containers without it keep the hard limits.
pub(super) fn apply(group: &Cgroup, disk: Option<Disk>, limits: &Limits) -> io::Result<()> {
    let v2 = group.v2();
    if let Some(memory) = group.controller_of::<MemController>() {
        limit_memory(memory, v2, limits.memory_bytes)?;
    }
    if let Some(pids) = group.controller_of::<PidController>() {
        pids.set_pid_max(MaxValue::Value(signed(limits.pids))).map_err(os)?;
    }
    if let Some(cpu) = group.controller_of::<CpuController>() {
        limit_cpu(cpu, v2, limits)?;
    }
    if let Some(io) = group.controller_of::<BlkIoController>() {
        limit_io(io, v2, disk, limits);
    }
    Ok(())
}

fn limit_memory(memory: &MemController, v2: bool, bytes: u64) -> io::Result<()> {
    if !v2 {
        // No swap: the limit of both together is the same. Kernels may be built without it.
        let together = || memory.set_memswap_limit(signed(bytes));
        // It is never below that of memory alone: a group that gets more than it had needs it raised first.
        memory
            .set_limit(signed(bytes))
            .or_else(|_| together().and_then(|()| memory.set_limit(signed(bytes))))
            .map_err(os)?;
        let _ = together();
        return Ok(());
    }
    // Just below the end the kernel slows the group down and takes back what it can, before it kills.
    let high = MaxValue::Value(signed(bytes - bytes / 32));
    let max = MaxValue::Value(signed(bytes));
    memory.set_mem(SetMemory { high: Some(high), max: Some(max), ..SetMemory::default() }).map_err(os)?;
    let _ = memory.set_memswap_limit(0);
    // All or none: half an app serves wrong answers. The crate has no setter for it.
    let _ = put(&memory.path().join("memory.oom.group"), "1");
    Ok(())
}

fn limit_cpu(cpu: &CpuController, v2: bool, limits: &Limits) -> io::Result<()> {
    let weight = u64::from(limits.cpu_weight.clamp(1, 10_000));
    // The default share is 100 in v2, 1024 in v1.
    let shares = if v2 { weight } else { (weight * 1024 / 100).max(2) };
    cpu.set_shares(shares).map_err(os)?;
    // The kernel takes no less than a millisecond. What all processors together cannot exceed is no limit, and would
    // only be counted at every switch.
    let quota = match limits.cpu_percent.max(1) {
        percent if percent >= processors().saturating_mul(100) => -1,
        percent => i64::from((PERIOD / 100).saturating_mul(percent)),
    };
    match cpu.set_cfs_quota_and_period(Some(quota), Some(u64::from(PERIOD))).map_err(os) {
        // v1 refuses more than an outer group has: then that one's limit is the lower and holds, once this group
        // has none of its own from earlier.
        Err(e) if !v2 && e.kind() == io::ErrorKind::InvalidInput => cpu.set_cfs_quota(-1).map_err(os),
        other => other,
    }
}

/// Of the machine, whatever part of them this process may use.
fn processors() -> u32 {
    // SAFETY: a plain number in, a plain number out.
    let online = unsafe { nix::libc::sysconf(nix::libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(online).ok().filter(|n| *n > 0).unwrap_or(u32::MAX)
}

fn limit_io(io: &BlkIoController, v2: bool, disk: Option<Disk>, limits: &Limits) {
    let weight = u64::from(limits.cpu_weight.clamp(1, 10_000));
    // The crate knows the scheduler's own file only (`io.bfq.weight`), which few kernels have.
    let file = |name: &str| io.path().join(name);
    let _ = if v2 {
        put_weight(&file("io.weight"), weight)
    } else {
        put_weight(&file("blkio.weight"), weight.clamp(10, 1000))
    };
    let _ = put_weight(&file(if v2 { "io.bfq.weight" } else { "blkio.bfq.weight" }), weight.clamp(1, 1000));
    if let Some(Disk { major, minor }) = disk.filter(|_| limits.io_bytes_per_second > 0) {
        // The disk was tried before; should it have gone, nothing can be read from it either.
        let _ = io.throttle_read_bps_for_device(major, minor, limits.io_bytes_per_second);
        let _ = io.throttle_write_bps_for_device(major, minor, limits.io_bytes_per_second);
    }
}

fn put_weight(file: &Path, weight: u64) -> io::Result<()> {
    put(file, &weight.to_string())
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The kernel's error inside one of the crate's.
pub(super) fn os(error: cgroups_rs::error::Error) -> io::Error {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    io::Error::new(cause.map_or(io::ErrorKind::Other, io::Error::kind), error.to_string())
}
