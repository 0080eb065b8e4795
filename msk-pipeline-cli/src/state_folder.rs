//! Where state lives (design decision D16): `.msk-pipeline/<pipeline>/<local or account-region>/` beside the file, unless the file
//! says otherwise.

use std::path::PathBuf;

use msk_pipeline_core::dsl::Header;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::settings::Settings;

/// The folder of the embedded world that a pipeline in `region` of `account` uses.
pub(crate) fn world(settings: &Settings, account: &str, region: &str) -> PathBuf {
    settings.dot_folder().join("world").join(format!("aws-{account}-{region}"))
}

/// The folder of the state for an account; a rehearsal's state never lies where a real one does.
pub(crate) fn of(settings: &Settings, header: &Header, account: &str) -> Result<PathBuf, Failure> {
    let default = settings.dot_folder().join(&header.name);
    if settings.local {
        return Ok(default.join("local"));
    }
    match header.state.as_deref() {
        None => Ok(default.join(format!("{account}-{}", header.region))),
        Some(place) if place.contains("://") => {
            let message = format!("state = \"{place}\": this version keeps state in a folder");
            Err(Failure::new(Exit::Invalid, message)
                .help("name a folder, relative to the file, on a disk that outlives the run"))
        }
        Some(folder) => Ok(settings.folder().join(folder)),
    }
}

/// The folder without asking AWS for the account, if it is clear which one it is.
pub(crate) fn known(settings: &Settings, header: &Header) -> Result<Option<PathBuf>, Failure> {
    if settings.local || header.state.is_some() || header.account.is_some() {
        return of(settings, header, header.account.as_deref().unwrap_or_default()).map(Some);
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
    Ok(if found.len() == 1 { found.pop() } else { None })
}
