//! The right to change what a pipeline made, while something is done that is no run.

use std::future::Future;
use std::pin::pin;

use msk_pipeline_core::state::lease::{RENEW_AGAIN, RENEW_EVERY};
use msk_pipeline_core::state::{Holder, Lease, StoreError};

use crate::diagnostic::Failure;
use crate::settings::Settings;
use crate::target::{self, Target};

/// Does `work` while no run can be under way: holds the state, renews that, and gives it back. If it is lost, `work` is dropped where it
/// stands.
pub(crate) async fn held<T>(
    settings: &Settings,
    target: &Target,
    why: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (who, since) = (target::who(settings), target.clock.wall());
    let holder = Holder { who, why: why.into(), since };
    let mut lease = target.store.lease(holder).await.map_err(|e| Failure::store(&e))?;
    let done = renewing(target, lease.as_mut(), work).await;
    let released = lease.release().await;
    let done = done?;
    released.map_err(|e| Failure::store(&e))?;
    Ok(done)
}

async fn renewing<T>(
    target: &Target,
    lease: &mut dyn Lease,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    let mut wait = RENEW_EVERY;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = target.clock.sleep(wait) => {}
        }
        wait = match lease.renew().await {
            Ok(()) => RENEW_EVERY,
            Err(error @ StoreError::Lost { .. }) => return Err(Failure::store(&error)),
            // The right lasts longer than one renewal that failed.
            Err(_) => RENEW_AGAIN,
        };
    }
}
