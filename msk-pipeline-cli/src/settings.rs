//! Arguments and environment, resolved: what commands work with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use msk_pipeline_core::dsl::Overlay;

use crate::args::Global;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::report::cloud::Cloud;

/// What holds for every command.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The declaration.
    pub(crate) file: PathBuf,
    /// Use the embedded AWS.
    pub(crate) local: bool,
    /// With real programs behind it.
    pub(crate) real: bool,
    /// What stands behind what is shown. Only a look at the embedded AWS tells whether its programs are real.
    pub(crate) cloud: Cloud,
    /// What is put over the file.
    pub(crate) overlay: Overlay,
    /// True in continuous integration.
    pub(crate) ci: bool,
    /// `user@host`.
    pub(crate) user: String,
    /// A file of certificates in PEM that databases and brokers are trusted by, beside the system's.
    ca_bundle: Option<PathBuf>,
    /// Where the user's caches are, if the environment tells.
    cache: Option<PathBuf>,
    /// The program with its global options, to be copied: `msk-pipeline -f a.toml --local`.
    program: String,
}

impl Settings {
    pub(crate) fn resolve(
        global: &Global,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Failure> {
        let environment: BTreeMap<String, String> = environment.collect();
        let var = |name: &str| environment.get(name).filter(|v| !v.is_empty()).cloned();
        let mut vars: BTreeMap<String, String> = environment
            .iter()
            .filter_map(|(k, v)| Some((k.strip_prefix("MSKP_VAR_")?.to_owned(), v.clone())))
            .collect();
        for (name, value) in &global.vars {
            vars.insert(name.clone(), value.clone());
        }
        if global.file.is_dir() {
            let message = format!("{} is a folder", global.file.display());
            let help = "name the file that declares the pipeline: -f FILE";
            return Err(Failure::new(Exit::Invalid, message).help(help));
        }
        let mut program = "msk-pipeline".to_owned();
        if global.file != Path::new("pipeline.toml") {
            program += &format!(" -f {}", quoted(&global.file.to_string_lossy()));
        }
        if global.local {
            program += " --local";
        }
        if global.real {
            program += " --real";
        }
        if let Some(file) = &global.ca_bundle {
            program += &format!(" --ca-bundle {}", quoted(&file.to_string_lossy()));
        }
        if let Some(env) = &global.env {
            program += &format!(" --env {}", quoted(env));
        }
        for (name, value) in &global.vars {
            program += &format!(" --var {}", quoted(&format!("{name}={value}")));
        }
        let host = var("HOSTNAME").or_else(|| {
            let name = std::fs::read_to_string("/etc/hostname").ok()?;
            Some(name.trim().to_owned()).filter(|n| !n.is_empty())
        });
        let user = var("USER").or_else(|| var("LOGNAME")).or_else(|| var("USERNAME"));
        let user = user.unwrap_or_else(|| "somebody".into());
        Ok(Self {
            file: global.file.clone(),
            local: global.local,
            real: global.real,
            cloud: if global.local { Cloud::Simulated } else { Cloud::Aws },
            overlay: Overlay { env: global.env.clone(), vars },
            ci: var("CI").is_some_and(|v| !["false", "0"].contains(&v.as_str())),
            ca_bundle: global.ca_bundle.clone(),
            cache: cache_folder(&var),
            user: host.map_or(user.clone(), |host| format!("{user}@{host}")),
            program,
        })
    }

    /// Certificates that databases and brokers are trusted by, beside the system's.
    pub(crate) fn authorities(&self) -> Result<Vec<String>, Failure> {
        let Some(file) = &self.ca_bundle else { return Ok(Vec::new()) };
        let pem = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("{} can't be read: {error}", file.display());
            Failure::new(Exit::Invalid, message)
                .help("--ca-bundle takes a file with certificates in PEM")
        })?;
        Ok(vec![pem])
    }

    /// The folder of the file, where everything that the program writes goes.
    pub(crate) fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// `.msk-pipeline` beside the file.
    pub(crate) fn dot_folder(&self) -> PathBuf {
        self.folder().join(".msk-pipeline")
    }

    /// Where plugin parts and archives are kept, by their digests: `$MSKP_CACHE`, or `msk-pipeline` in the user's cache folder; beside
    /// the file where there is no such folder. It may be deleted at any time, and is shared by all pipelines.
    pub(crate) fn plugin_cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| self.dot_folder()).join("plugins")
    }

    /// A command about the embedded AWS itself, which needs neither `--local` nor `--real`.
    pub(crate) fn local_command(&self, verb: &str) -> String {
        let command = self.command(&format!("local {verb}"));
        command.replacen(" --local", "", 1).replacen(" --real", "", 1)
    }

    /// A command line to be copied, with the present global options.
    pub(crate) fn command(&self, verb: &str) -> String {
        format!("{} {verb}", self.program)
    }
}

/// The folder for caches, as the XDG base directory specification and macOS have it. A relative `XDG_CACHE_HOME` does not count.
fn cache_folder(var: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let ours = var("MSKP_CACHE").map(PathBuf::from);
    let user = || {
        let home = var("HOME").map(PathBuf::from).filter(|h| h.is_absolute());
        let xdg = var("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let usual = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        Some(xdg.or_else(|| Some(home?.join(usual)))?.join("msk-pipeline"))
    };
    ours.or_else(user)
}

/// An argument as a shell takes it.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_users() {
        let of = |vars: &[(&str, &str)]| {
            let var = |name: &str| {
                vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
            };
            cache_folder(&var).map(|p| p.display().to_string())
        };
        let (home, xdg) = (("HOME", "/home/me"), ("XDG_CACHE_HOME", "/cache"));
        assert_eq!(of(&[home, xdg]).as_deref(), Some("/cache/msk-pipeline"));
        assert_eq!(of(&[home, xdg, ("MSKP_CACHE", "here")]).as_deref(), Some("here"));
        if cfg!(target_os = "linux") {
            assert_eq!(of(&[home]).as_deref(), Some("/home/me/.cache/msk-pipeline"));
            let relative = ("XDG_CACHE_HOME", "cache");
            assert_eq!(of(&[home, relative]).as_deref(), Some("/home/me/.cache/msk-pipeline"));
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("a/b.toml"), "a/b.toml");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
