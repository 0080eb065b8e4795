//! Which Maven repository to ask: the environment's, a mirror of Maven's settings, or the one that `maven-toolbox` carries as its default.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use maven_toolbox::{ArtifactFqn, Resolver};
use quick_xml::events::Event;

use crate::error::{Error, Result};
use crate::part::{Coordinate, without_credentials};

/// Where parts come from, as the caller's environment says. The default is Maven Central without a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The address of the Maven repository to use; comes before every mirror.
    pub repository: Option<String>,
    /// Maven's settings files, the user's before the installation's; those that don't exist are skipped.
    pub settings: Vec<PathBuf>,
    /// Whether to go through the proxy that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name.
    pub proxy_from_env: bool,
}

impl Sources {
    /// Reads `MSKP_MAVEN_REPOSITORY`, the home folder and `MAVEN_HOME`; turns the proxy of the environment on.
    pub fn from_env() -> Self {
        Self::from_vars(|name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))
    }

    fn from_vars(var: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = var("HOME").or_else(|| var("USERPROFILE"));
        let maven = var("MAVEN_HOME").or_else(|| var("M2_HOME"));
        let user = home.map(|h| h.join(".m2").join("settings.xml"));
        let global = maven.map(|m| m.join("conf").join("settings.xml"));
        Self {
            repository: var("MSKP_MAVEN_REPOSITORY").map(|r| r.to_string_lossy().into_owned()),
            settings: user.into_iter().chain(global).collect(),
            proxy_from_env: true,
        }
    }

    /// The repository to ask, as a resolver that makes addresses of coordinates.
    fn resolver(&self) -> Result<Resolver> {
        let mut resolver = Resolver::default();
        let chosen = match &self.repository {
            Some(address) => Some(address.clone()),
            None => self.mirror()?,
        };
        if let Some(address) = chosen {
            if !address.starts_with("https://") && !address.starts_with("http://") {
                return Err(Error::Repository(without_credentials(&address)));
            }
            address.trim_end_matches('/').clone_into(&mut resolver.repository.base_url);
        }
        Ok(resolver)
    }

    /// As Maven does: a mirror of exactly `central` wins, else the first whose pattern covers it; the user's settings come first.
    fn mirror(&self) -> Result<Option<String>> {
        let mut mirrors = Vec::new();
        for path in &self.settings {
            match fs::read_to_string(path) {
                Ok(text) => {
                    mirrors.extend(read_mirrors(&text, path)?.into_iter().map(|m| (m, path)));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("read", path)(e)),
            }
        }
        let exact = mirrors.iter().find(|(m, _)| m.of.trim() == CENTRAL);
        let Some((mirror, path)) =
            exact.or_else(|| mirrors.iter().find(|(m, _)| m.covers_central()))
        else {
            return Ok(None);
        };
        let refuse = |problem: &str| Error::Mirror {
            path: (*path).clone(),
            id: mirror.id.clone(),
            problem: problem.to_owned(),
        };
        if mirror.blocked {
            return Err(refuse("it is marked as blocked"));
        }
        if mirror.url.contains("${") {
            return Err(refuse("its address has a placeholder, which only Maven can fill in"));
        }
        if !mirror.url.starts_with("https://") && !mirror.url.starts_with("http://") {
            return Err(refuse("its address is neither https:// nor http://"));
        }
        Ok(Some(mirror.url.clone()))
    }

    /// The address of an artefact.
    pub(crate) fn address(&self, coordinate: &Coordinate) -> Result<String> {
        let fqn = ArtifactFqn {
            group_id: Some(coordinate.group.clone()),
            artifact_id: Some(coordinate.artifact.clone()),
            version: Some(coordinate.version.clone()),
            packaging: Some(coordinate.extension.clone()),
        };
        let url = self.resolver()?.create_url(&fqn).expect("every field of a coordinate is given");
        // The crate knows no classifiers: the folder is its, the file's name ours.
        let folder = url.rsplit_once('/').map_or("", |(folder, _)| folder);
        Ok(format!("{folder}/{}", coordinate.file_name()))
    }
}

/// The id that Maven's own model gives its default repository.
const CENTRAL: &str = "central";

#[derive(Debug, Default)]
struct Mirror {
    id: String,
    of: String,
    url: String,
    blocked: bool,
}

impl Mirror {
    /// Whether the pattern covers `central`, a remote repository over https.
    fn covers_central(&self) -> bool {
        let mut covered = false;
        for pattern in self.of.split(',').map(str::trim) {
            match pattern {
                "!central" => return false,
                "*" | CENTRAL | "external:*" => covered = true,
                _ => {}
            }
        }
        covered
    }
}

fn read_mirrors(text: &str, path: &Path) -> Result<Vec<Mirror>> {
    let bad = |message: String| Error::Settings { path: path.to_path_buf(), message };
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut mirrors, mut stack, mut content) =
        (Vec::<Mirror>::new(), Vec::<String>::new(), String::new());
    loop {
        match reader.read_event().map_err(|e| bad(e.to_string()))? {
            Event::Start(tag) => {
                stack.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                content.clear();
                if stack == ["settings", "mirrors", "mirror"] {
                    mirrors.push(Mirror::default());
                }
            }
            Event::Text(t) => content.push_str(&t.decode().map_err(|e| bad(e.to_string()))?),
            Event::CData(t) => content.push_str(&t.decode().map_err(|e| bad(e.to_string()))?),
            Event::GeneralRef(r) => {
                let name = r.decode().map_err(|e| bad(e.to_string()))?;
                match r.resolve_char_ref().map_err(|e| bad(e.to_string()))? {
                    Some(c) => content.push(c),
                    None => content.push_str(
                        quick_xml::escape::resolve_predefined_entity(&name)
                            .ok_or_else(|| bad(format!("unknown entity &{name};")))?,
                    ),
                }
            }
            Event::End(_) => {
                if let (["settings", "mirrors", "mirror", field], Some(mirror)) = (
                    stack.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
                    mirrors.last_mut(),
                ) {
                    let value = content.trim().to_owned();
                    match *field {
                        "id" => mirror.id = value,
                        "mirrorOf" => mirror.of = value,
                        "url" => mirror.url = value,
                        "blocked" => mirror.blocked = value == "true",
                        _ => {}
                    }
                }
                content.clear();
                stack.pop();
            }
            Event::Eof if stack.is_empty() => return Ok(mirrors),
            Event::Eof => return Err(bad("it ends in the middle of an element".into())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder;

    #[track_caller]
    fn address(sources: &Sources) -> String {
        let coordinate = "a.b:c:1:tar.gz:plugin".parse().expect("a coordinate");
        sources.address(&coordinate).unwrap_or_else(|e| format!("{e} / {}", e.help()))
    }

    fn settings(mirrors: &[(&str, &str, &str)]) -> String {
        let mirror = |(id, of, rest): &(&str, &str, &str)| {
            format!(
                "<mirror><id>{id}</id><mirrorOf>{of}</mirrorOf>{rest}<url>https://{id}.example/m2/?a&amp;b</url></mirror>"
            )
        };
        let mirrors = mirrors.iter().map(mirror).collect::<Vec<_>>().concat();
        format!(
            "<?xml version='1.0'?><settings xmlns='urn:x'><!-- <mirror> --><mirrors>{mirrors}</mirrors><profiles><url>x</url></profiles></settings>"
        )
    }

    #[test]
    fn without_a_word_the_default_of_the_toolbox_is_used() {
        let expected =
            format!("{}/a/b/c/1/c-1-plugin.tar.gz", Resolver::default().repository.base_url);
        assert_eq!(address(&Sources::default()), expected);
        assert_eq!(
            address(&Sources {
                settings: vec!["/nowhere/settings.xml".into()],
                ..Sources::default()
            }),
            expected
        );
    }

    #[test]
    fn the_environment_comes_before_every_mirror() {
        let folder = folder();
        let file = folder.path().join("settings.xml");
        fs::write(&file, settings(&[("m", "*", "")])).expect("write");
        let sources = Sources {
            repository: Some("https://mine.example/maven/".into()),
            settings: vec![file],
            ..Sources::default()
        };
        assert_eq!(address(&sources), "https://mine.example/maven/a/b/c/1/c-1-plugin.tar.gz");
        assert!(
            address(&Sources { repository: Some("mine.example".into()), ..Sources::default() })
                .contains("not the address")
        );
    }

    #[test]
    fn mirrors_are_chosen_as_maven_chooses_them() {
        let folder = folder();
        let file = folder.path().join("settings.xml");
        for (mirrors, expected) in [
            (vec![("m", "*", "")], "https://m.example/m2/?a&b"),
            (vec![("m", "external:*", "")], "https://m.example/m2/?a&b"),
            (vec![("m", "*,!other", "")], "https://m.example/m2/?a&b"),
            (vec![("m", "*", ""), ("n", "central", "")], "https://n.example/m2/?a&b"),
            (vec![("m", "other", ""), ("n", "other, central", "")], "https://n.example/m2/?a&b"),
            (vec![("m", "*, !central", "")], "none"),
            (vec![("m", "external:http:*", "<blocked>true</blocked>")], "none"),
            (vec![("m", "*", "<blocked>true</blocked>")], "it is marked as blocked"),
        ] {
            fs::write(&file, settings(&mirrors)).expect("write");
            let sources = Sources { settings: vec![file.clone()], ..Sources::default() };
            let got = sources
                .mirror()
                .map_or_else(|e| e.to_string(), |m| m.unwrap_or_else(|| "none".into()));
            assert!(got.ends_with(expected), "{mirrors:?}: {got}");
        }
        fs::write(&file, "<settings><mirrors>").expect("write");
        let error =
            Sources { settings: vec![file], ..Sources::default() }.mirror().expect_err("cut short");
        assert!(matches!(error, Error::Settings { .. }), "{error}");
    }

    #[test]
    fn the_environment_is_read_in_one_place() {
        let vars = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/home/me")),
            "MAVEN_HOME" => Some(PathBuf::from("/opt/maven")),
            "MSKP_MAVEN_REPOSITORY" => Some(PathBuf::from("https://mine.example")),
            _ => None,
        };
        let sources = Sources::from_vars(vars);
        assert_eq!(sources.repository.as_deref(), Some("https://mine.example"));
        assert_eq!(
            sources.settings,
            [
                PathBuf::from("/home/me/.m2/settings.xml"),
                PathBuf::from("/opt/maven/conf/settings.xml")
            ]
        );
    }
}
