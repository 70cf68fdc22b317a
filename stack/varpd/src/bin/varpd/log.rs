//! How much is logged? As much as the flags say, until somebody says otherwise (`PUT /v1/log`).

use overlay_api::control::LogLevel;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// The log on stderr.
pub(crate) struct Log {
    filter: reload::Handle<LevelFilter, Registry>,
    level: Mutex<LogLevel>,
}

impl Log {
    /// Begins it, `verbose` steps above what is usual.
    pub(crate) fn start(verbose: u8) -> Self {
        let level = match verbose {
            0 => LogLevel::Info,
            1 => LogLevel::Debug,
            _ => LogLevel::Trace,
        };
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (filter, handle) = reload::Layer::new(filter_of(level));
        let lines = fmt::layer().with_ansi(colours).with_writer(std::io::stderr).with_target(false);
        tracing_subscriber::registry().with(filter).with(lines).init();
        Self { filter: handle, level: Mutex::new(level) }
    }

    /// What is logged.
    pub(crate) fn level(&self) -> LogLevel {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs that much from now on.
    ///
    /// # Errors
    /// The log is gone, which it is not before the daemon's end.
    pub(crate) fn set_level(&self, level: LogLevel) -> Result<(), String> {
        let mut known = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.reload(filter_of(level)).map_err(|error| error.to_string())?;
        *known = level;
        Ok(())
    }
}

const fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
