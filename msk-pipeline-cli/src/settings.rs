//! Arguments and environment, resolved: what commands work with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use msk_pipeline_core::dsl::Overlay;

use crate::args::Global;
use crate::diagnostic::Failure;
use crate::exit::Exit;

/// What holds for every command.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The declaration.
    pub(crate) file: PathBuf,
    /// Use the embedded AWS.
    pub(crate) local: bool,
    /// What is put over the file.
    pub(crate) overlay: Overlay,
    /// True in continuous integration.
    pub(crate) ci: bool,
    /// `user@host`.
    pub(crate) user: String,
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
            overlay: Overlay { env: global.env.clone(), vars },
            ci: var("CI").is_some_and(|v| !["false", "0"].contains(&v.as_str())),
            user: host.map_or(user.clone(), |host| format!("{user}@{host}")),
            program,
        })
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

    /// A command about the embedded AWS itself, which needs no `--local`.
    pub(crate) fn local_command(&self, verb: &str) -> String {
        self.command(&format!("local {verb}")).replacen(" --local", "", 1)
    }

    /// A command line to be copied, with the present global options.
    pub(crate) fn command(&self, verb: &str) -> String {
        format!("{} {verb}", self.program)
    }
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
    use super::quoted;

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("a/b.toml"), "a/b.toml");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
