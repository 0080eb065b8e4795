//! Ctrl-C and SIGTERM: the first asks the run to stop, the second drops everything at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_core::run::{Cancel, Canceller};
use tokio::sync::watch;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report;

/// Requests already sent get five seconds; whatever happens, the process ends before the eighth.
const AT_MOST: Duration = Duration::from_millis(7300);

/// Whether somebody asked to stop.
#[derive(Clone)]
pub(crate) struct Interrupt {
    pub(crate) cancel: Cancel,
    /// Stops a run as the first signal does.
    pub(crate) canceller: Canceller,
    level: watch::Receiver<u8>,
}

impl Interrupt {
    /// Listens from now on. `verb` and `again` are for what is said.
    pub(crate) fn listen(printer: &Arc<Printer>, verb: &'static str, again: String) -> Self {
        let (canceller, cancel) = Canceller::new();
        let (sender, level) = watch::channel(0);
        let (printer, own) = (Arc::clone(printer), canceller.clone());
        // Here and not in the task, which runs later: from now on no signal just kills the process.
        let mut signals = Signals::new();
        tokio::spawn(async move {
            signals.next().await;
            sender.send_replace(1);
            canceller.cancel();
            printer.tell(stopping(verb));
            tokio::select! {
                () = signals.next() => {}
                () = tokio::time::sleep(AT_MOST) => end(&printer, verb, &again),
            }
            sender.send_replace(2);
            canceller.cancel();
            tokio::select! {
                () = signals.next() => {}
                () = tokio::time::sleep(Duration::from_millis(700)) => {}
            }
            end(&printer, verb, &again);
        });
        Self { cancel, canceller: own, level }
    }

    /// True once somebody asked to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.level.borrow() > 0
    }

    /// Returns once somebody asked to stop.
    pub(crate) async fn requested(&self) {
        let mut level = self.level.clone();
        if level.wait_for(|l| *l > 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Carries out what changes nothing, unless somebody asks to stop.
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.requested() => Err(Failure::interrupted("nothing was changed")),
            result = work => result,
        }
    }
}

/// What is said at the first signal.
fn stopping(verb: &str) -> &'static str {
    match verb {
        "apply" | "destroy" | "adopt" => {
            "Stopping: no new call is made, requests already sent get 5 s. Once more stops at once."
        }
        _ => "Stopping: nothing was changed.",
    }
}

/// Ends the process where it is. The journal makes that safe.
fn end(printer: &Printer, verb: &'static str, again: &str) -> ! {
    printer.tell(&match verb {
        "apply" | "destroy" | "adopt" => {
            format!("Stopped. What was begun is in the journal; this continues: {again}")
        }
        _ => format!("Stopped. Again: {again}"),
    });
    if printer.json {
        printer.data_json(&report::json::stopped(verb, again));
    }
    std::process::exit(i32::from(Exit::Interrupted.code()))
}

/// The signals that ask to stop. Listens from its making on, and to all of them: none just kills the process any more.
pub(crate) struct Signals {
    #[cfg(unix)]
    int: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    term: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            int: signal(SignalKind::interrupt()).ok(),
            term: signal(SignalKind::terminate()).ok(),
            hangup: signal(SignalKind::hangup()).ok(),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Returns at the next one.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        async fn of(signal: Option<&mut tokio::signal::unix::Signal>) {
            let received = match signal {
                Some(signal) => signal.recv().await,
                None => None,
            };
            if received.is_none() {
                std::future::pending::<()>().await;
            }
        }
        tokio::select! {
            () = of(self.int.as_mut()) => {}
            () = of(self.term.as_mut()) => {}
            () = of(self.hangup.as_mut()) => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
