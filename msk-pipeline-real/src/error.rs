//! What can go wrong between the world and its programs.

use std::io;
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the real plane can't be had, or why one of its programs doesn't do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program isn't installed.
    #[error(
        "`{program}` is not on this machine: install the package {package} (its name in Debian)"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The system is another one.
    #[error("the real data plane needs Linux, where every address of 127.0.0.0/8 is this machine")]
    System,
    /// Kafka's jars could not be had.
    #[error("the jars that the programs run from can't be had")]
    Artefacts(#[from] msk_pipeline_plugin::Error),
    /// The file system, a socket or a process refused.
    #[error("can't {action} `{subject}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        subject: String,
        /// Why not.
        source: io::Error,
    },
    /// A program ended that should run.
    #[error("{program} ended ({status}); its last words are in {}:\n{tail}", log.display())]
    Ended {
        /// Which one.
        program: String,
        /// How.
        status: String,
        /// Where it logs to.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// A program runs, and is not ready in time.
    #[error("{program} was not ready after {seconds} s; its log is {}", log.display())]
    NotReady {
        /// Which one.
        program: String,
        /// How long it had.
        seconds: u64,
        /// Where it logs to.
        log: PathBuf,
    },
    /// A statement that a database refused.
    #[error("{server} refused a statement of ours: {message}")]
    Sql {
        /// Which program.
        server: &'static str,
        /// Its words.
        message: String,
    },
    /// A program that prepares a database failed.
    #[error("`{program}` failed: {message}")]
    Prepare {
        /// Which one.
        program: &'static str,
        /// Its words.
        message: String,
    },
    /// Connect's REST API answered otherwise than asked for.
    #[error("Kafka Connect answered {status}: {message}")]
    Rest {
        /// The HTTP status.
        status: u16,
        /// Connect's own words.
        message: String,
    },
    /// A broker refused something about a topic.
    #[error("Kafka refused the topic `{topic}` with error code {code}")]
    Topic {
        /// Which one.
        topic: String,
        /// The code of Kafka's protocol guide; -1 for an answer that can't be read.
        code: i16,
    },
    /// Certificates could not be made.
    #[error("the local certificate authority failed: {0}")]
    Certificates(String),
    /// The loopback addresses of this world are used up.
    #[error("all 253 loopback addresses of this world are taken")]
    Addresses,
    /// Another process serves this world already.
    #[error("this world is served already, by {0}")]
    Served(crate::serving::Server),
    /// Another process drives the programs of this world.
    #[error("another process runs the real programs of this world (`{}` is locked)", .0.display())]
    InUse(PathBuf),
}

impl Error {
    /// For `map_err`: what was tried, and with what.
    pub(crate) fn io(
        action: &'static str,
        subject: impl ToString,
    ) -> impl FnOnce(io::Error) -> Self {
        let subject = subject.to_string();
        move |source| Self::Io { action, subject, source }
    }

    /// The message with everything that lies under it.
    pub fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        text
    }
}
