//! The limits a manifest may name: one table of words, units and ranges.
use serde::{Deserialize, Serialize};

use crate::runner::Limits;

const MIB: u64 = 1 << 20;

/// A key of `limits` in steady.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    MemoryMb,
    CpuPercent,
    Processes,
    DiskMb,
    Files,
    TmpMb,
    OpenFiles,
    Connections,
    Rate,
    AppRate,
    Concurrency,
}

/// In the order of the documentation.
pub const LIMITS: [Limit; 11] = [
    Limit::MemoryMb,
    Limit::CpuPercent,
    Limit::Processes,
    Limit::DiskMb,
    Limit::Files,
    Limit::TmpMb,
    Limit::OpenFiles,
    Limit::Connections,
    Limit::Rate,
    Limit::AppRate,
    Limit::Concurrency,
];

impl Limit {
    /// As in steady.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryMb => "memory_mb",
            Self::CpuPercent => "cpu_percent",
            Self::Processes => "processes",
            Self::DiskMb => "disk_mb",
            Self::Files => "files",
            Self::TmpMb => "tmp_mb",
            Self::OpenFiles => "open_files",
            Self::Connections => "connections",
            Self::Rate => "rate",
            Self::AppRate => "app_rate",
            Self::Concurrency => "concurrency",
        }
    }

    /// What it bounds, with its unit.
    pub fn about(self) -> &'static str {
        match self {
            Self::MemoryMb => "Memory in MiB; above it the app is stopped",
            Self::CpuPercent => "Processor time in hundredths of one core",
            Self::Processes => "Processes and threads",
            Self::DiskMb => "What the app may keep in its home, in MiB",
            Self::Files => "Files and folders in its home",
            Self::TmpMb => "Size of /tmp in MiB, which is memory",
            Self::OpenFiles => "Open files of one process",
            Self::Connections => "Connections at a time: requests, and, counted apart, outbound ones",
            Self::Rate => "Requests a second from one network (an IPv4 address or an IPv6 /64); more are answered 429",
            Self::AppRate => "Requests a second from everybody together; more are answered 429",
            Self::Concurrency => "Requests answered at once; more are answered 429",
        }
    }

    /// Below this no app can start.
    pub fn least(self) -> u64 {
        match self {
            Self::MemoryMb => 64,
            Self::CpuPercent => 5,
            Self::Processes => 16,
            Self::DiskMb | Self::TmpMb | Self::Connections | Self::Rate | Self::AppRate | Self::Concurrency => 1,
            Self::Files => 16,
            Self::OpenFiles => 64,
        }
    }

    /// In the unit of the manifest.
    pub fn of(self, limits: &Limits) -> u64 {
        match self {
            Self::MemoryMb => limits.memory_bytes / MIB,
            Self::CpuPercent => u64::from(limits.cpu_percent),
            Self::Processes => limits.pids,
            Self::DiskMb => limits.disk_bytes / MIB,
            Self::Files => limits.files,
            Self::TmpMb => limits.tmp_bytes / MIB,
            Self::OpenFiles => limits.open_files,
            Self::Connections => limits.connections,
            Self::Rate => limits.rate,
            Self::AppRate => limits.app_rate,
            Self::Concurrency => limits.concurrency,
        }
    }

    /// `value` in the unit of the manifest.
    pub fn set(self, limits: &mut Limits, value: u64) {
        match self {
            Self::MemoryMb => limits.memory_bytes = value.saturating_mul(MIB),
            Self::CpuPercent => limits.cpu_percent = u32::try_from(value).unwrap_or(u32::MAX),
            Self::Processes => limits.pids = value,
            Self::DiskMb => limits.disk_bytes = value.saturating_mul(MIB),
            Self::Files => limits.files = value,
            Self::TmpMb => limits.tmp_bytes = value.saturating_mul(MIB),
            Self::OpenFiles => limits.open_files = value,
            Self::Connections => limits.connections = value,
            Self::Rate => limits.rate = value,
            Self::AppRate => limits.app_rate = value,
            Self::Concurrency => limits.concurrency = value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_back() {
        let before = Limits::default();
        for limit in LIMITS {
            let mut limits = before;
            limit.set(&mut limits, 777);
            assert_eq!(limit.of(&limits), 777);
            for other in LIMITS.into_iter().filter(|other| *other != limit) {
                assert_eq!(other.of(&limits), other.of(&before), "{limit:?} changes {other:?}");
            }
            assert!(limit.least() <= limit.of(&before), "the default is possible");
            assert_eq!(serde_json::to_value(limit).unwrap(), limit.name());
        }
    }
}
