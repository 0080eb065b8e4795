//! Stopping a run: first politely, then at once.

use tokio::sync::watch;

/// The handle that stops runs.
#[derive(Debug, Clone)]
pub struct Canceller(watch::Sender<u8>);

/// What a run looks at to know whether it should stop.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<u8>);

impl Canceller {
    /// A handle, and what to give to the run.
    pub fn new() -> (Self, Cancel) {
        let (sender, receiver) = watch::channel(0);
        (Self(sender), Cancel(receiver))
    }

    /// Asks to stop. The first time no new call starts, requests already sent get five seconds, and waits are left, because the
    /// next run re-attaches to them. The second time everything is dropped at once; the journal makes that safe, too.
    pub fn cancel(&self) {
        self.0.send_modify(|level| *level = level.saturating_add(1));
    }
}

impl Cancel {
    /// A run that nobody stops.
    pub fn never() -> Self {
        Canceller::new().1
    }

    /// True once asked to stop.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Returns once asked to stop at least `times` times.
    pub(crate) async fn cancelled(&self, times: u8) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|level| *level >= times).await.is_err() {
            // The handle is gone: nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
