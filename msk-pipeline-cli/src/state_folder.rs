//! Where state lives (design decision D16): `.msk-pipeline/<pipeline>/<local or account-region>/` beside the file, unless the file
//! names another folder or a place in S3.

use std::path::PathBuf;

use msk_pipeline_aws::state::S3Place;
use msk_pipeline_core::dsl::Header;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::settings::Settings;

/// The folder of the embedded world that a pipeline in `region` of `account` uses.
pub(crate) fn world(settings: &Settings, account: &str, region: &str) -> PathBuf {
    settings.dot_folder().join("world").join(format!("aws-{account}-{region}"))
}

/// The place in S3 that the file names, if it names one. With the embedded AWS it is a place in that.
pub(crate) fn shared(header: &Header) -> Result<Option<S3Place>, Failure> {
    let Some(place) = header.state.as_deref().filter(|place| place.contains("://")) else {
        return Ok(None);
    };
    place.parse().map(Some).map_err(|error| {
        Failure::new(Exit::Invalid, format!("state in [pipeline]: {error}"))
            .help("name a folder, relative to the file, or s3://bucket/prefix")
    })
}

/// The folder of the state for an account; a rehearsal's state never lies where a real one does. Beside a state in S3 it holds what
/// could not be stored there yet.
pub(crate) fn of(settings: &Settings, header: &Header, account: &str) -> PathBuf {
    let default = settings.dot_folder().join(&header.name);
    if settings.local {
        return default.join("local");
    }
    match header.state.as_deref() {
        Some(place) if !place.contains("://") => settings.folder().join(place),
        _ => default.join(format!("{account}-{}", header.region)),
    }
}

/// The folder without asking AWS for the account, if it is clear which one it is.
pub(crate) fn known(settings: &Settings, header: &Header) -> Option<PathBuf> {
    if settings.local || header.state.is_some() || header.account.is_some() {
        return of(settings, header, header.account.as_deref().unwrap_or_default()).into();
    }
    let suffix = format!("-{}", header.region);
    let mut found = Vec::new();
    let folders = std::fs::read_dir(settings.dot_folder().join(&header.name));
    for entry in folders.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let account = name.strip_suffix(&suffix).unwrap_or_default();
        if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) {
            found.push(entry.path());
        }
    }
    if found.len() == 1 { found.pop() } else { None }
}
