//! Reads a packed plugin without running it: which connectors it has, and which Java they need.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use serde::Serialize;
use zip::ZipArchive;

use crate::error::{ArchiveProblem, Error, Result};
use crate::unpack::Limits;

/// What is in a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Source connectors that the plugin lists.
    pub sources: Vec<Provided>,
    /// Sink connectors that the plugin lists.
    pub sinks: Vec<Provided>,
    /// Config providers that the plugin lists.
    pub config_providers: Vec<Provided>,
    /// Its jars, by path.
    pub jars: Vec<Jar>,
    /// Archives that Kafka Connect won't look into: a ZIP or tar in the ZIP.
    pub nested: Vec<String>,
    /// The unpacked size of all files.
    pub total_size: u64,
    /// Every class outside of a class, with its jar's place in `jars`: some plugins don't list what they have.
    #[serde(skip)]
    classes: BTreeMap<String, usize>,
}

/// A class that a jar offers to Kafka Connect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Provided {
    /// Its name.
    pub class: String,
    /// The jar that lists it.
    pub jar: String,
    /// That jar's version, if it says one.
    pub version: Option<String>,
}

/// A jar of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jar {
    /// Its path in the ZIP.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// From its `pom.properties` or manifest.
    pub version: Option<String>,
    /// The highest major version of its class files, without those for newer Javas (`META-INF/versions`); `None` without classes.
    pub class_major: Option<u16>,
}

impl Jar {
    /// The oldest Java that can load all of it.
    pub fn java(&self) -> Option<u16> {
        self.class_major.map(java_of)
    }
}

/// Class files of Java 1.2 have major version 46, and each Java counted one on.
fn java_of(major: u16) -> u16 {
    major.saturating_sub(44)
}

const SOURCE: &str = "META-INF/services/org.apache.kafka.connect.source.SourceConnector";
const SINK: &str = "META-INF/services/org.apache.kafka.connect.sink.SinkConnector";
const CONFIG_PROVIDER: &str =
    "META-INF/services/org.apache.kafka.common.config.provider.ConfigProvider";
/// More than any text that is read here has.
const TEXT: u64 = 256 << 10;

/// Reads a plugin's ZIP, whoever made it.
pub fn inspect(path: &Path, limits: &Limits) -> Result<Inspection> {
    let shown = path.display().to_string();
    let bad = |problem: String| Error::archive(&shown, ArchiveProblem::Unreadable(problem));
    let open = || File::open(path).map_err(Error::io("open", path));
    let mut zip = archive(BufReader::new(open()?), &shown, limits)?;
    let (mut result, mut jars) = (Inspection::default(), Vec::new());
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(|e| bad(e.to_string()))?;
        let name = entry.name().map_err(|e| bad(e.to_string()))?.into_owned();
        result.total_size = result.total_size.saturating_add(entry.size());
        if name.ends_with('/') {
            continue;
        }
        let lower = name.to_ascii_lowercase();
        if has_end(&lower, &[".jar"]) {
            jars.push((name, index));
        } else if has_end(
            &lower,
            &[".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".war", ".ear"],
        ) {
            result.nested.push(name);
        }
    }
    jars.sort();
    for (name, index) in jars {
        let entry = zip.by_index_raw(index).map_err(|e| bad(e.to_string()))?;
        let (size, stored, encrypted) = (
            entry.size(),
            entry.compression() == zip::CompressionMethod::Stored,
            entry.encrypted(),
        );
        drop(entry);
        if encrypted {
            return Err(Error::archive(&shown, ArchiveProblem::Encrypted(name)));
        }
        let label = format!("{shown}!{name}");
        let contents = if stored {
            // As our own ZIPs have them: read in place.
            read_jar(
                BufReader::new(zip.by_index_seek(index).map_err(|e| bad(e.to_string()))?),
                &label,
                limits,
            )?
        } else {
            let mut jar = tempfile::tempfile().map_err(Error::io("create a file for", path))?;
            let entry = zip.by_index(index).map_err(|e| bad(e.to_string()))?;
            let copied = io::copy(&mut entry.take(limits.file.saturating_add(1)), &mut jar)
                .map_err(|e| bad(e.to_string()))?;
            if copied > limits.file {
                return Err(Error::archive(
                    &shown,
                    ArchiveProblem::File { name, limit: limits.file },
                ));
            }
            read_jar(BufReader::new(jar), &label, limits)?
        };
        let provided = |classes: &[String]| -> Vec<Provided> {
            classes
                .iter()
                .map(|class| Provided {
                    class: class.clone(),
                    jar: name.clone(),
                    version: contents.version.clone(),
                })
                .collect()
        };
        result.sources.extend(provided(&contents.sources));
        result.sinks.extend(provided(&contents.sinks));
        result.config_providers.extend(provided(&contents.config_providers));
        for class in contents.classes {
            result.classes.entry(class).or_insert(result.jars.len());
        }
        result.jars.push(Jar {
            path: name,
            size,
            version: contents.version,
            class_major: contents.major,
        });
    }
    for list in [&mut result.sources, &mut result.sinks, &mut result.config_providers] {
        list.sort();
    }
    Ok(result)
}

fn archive<R: Read + Seek>(reader: R, label: &str, limits: &Limits) -> Result<ZipArchive<R>> {
    let zip = ZipArchive::new(reader)
        .map_err(|e| Error::archive(label, ArchiveProblem::Unreadable(e.to_string())))?;
    // Jars have an entry for each class, of which there may well be more than files in a plugin.
    let entries = limits.entries.saturating_mul(10);
    if zip.len() > entries {
        Err(Error::archive(label, ArchiveProblem::Entries(entries)))
    } else {
        Ok(zip)
    }
}

#[derive(Default)]
struct Contents {
    sources: Vec<String>,
    sinks: Vec<String>,
    config_providers: Vec<String>,
    classes: Vec<String>,
    version: Option<String>,
    major: Option<u16>,
}

fn read_jar<R: Read + Seek>(reader: R, label: &str, limits: &Limits) -> Result<Contents> {
    let bad = |problem: String| Error::archive(label, ArchiveProblem::Unreadable(problem));
    let mut jar = archive(reader, label, limits)?;
    let (mut contents, mut manifest, mut poms) = (Contents::default(), None, BTreeSet::new());
    for index in 0..jar.len() {
        let mut entry = jar.by_index(index).map_err(|e| bad(e.to_string()))?;
        let Ok(name) = entry.name().map(std::borrow::Cow::into_owned) else { continue };
        let mut text = || -> Result<String> {
            let mut bytes = Vec::new();
            (&mut entry).take(TEXT).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match name.as_str() {
            SOURCE => contents.sources = services(&text()?),
            SINK => contents.sinks = services(&text()?),
            CONFIG_PROVIDER => contents.config_providers = services(&text()?),
            "META-INF/MANIFEST.MF" => {
                let text = text()?;
                manifest = ["Implementation-Version:", "Bundle-Version:"]
                    .iter()
                    .find_map(|key| text.lines().find_map(|line| line.strip_prefix(key)))
                    .map(|v| v.trim().to_owned());
            }
            _ if name.starts_with("META-INF/maven/") && name.ends_with("/pom.properties") => {
                poms.extend(
                    text()?
                        .lines()
                        .filter_map(|line| line.strip_prefix("version="))
                        .map(|v| v.trim().to_owned()),
                );
            }
            _ => {
                let Some(class) = name
                    .strip_suffix(".class")
                    .filter(|c| !c.starts_with("META-INF/") && !c.ends_with("module-info"))
                else {
                    continue;
                };
                let mut head = [0; 8];
                match entry.read_exact(&mut head) {
                    Ok(()) if head[..4] == [0xca, 0xfe, 0xba, 0xbe] => {}
                    // Not a class file, whatever its name says: no class loader gets that far.
                    Ok(()) => continue,
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => continue,
                    Err(e) => return Err(bad(e.to_string())),
                }
                contents.major = contents.major.max(Some(u16::from_be_bytes([head[6], head[7]])));
                if !class.contains('$') {
                    contents.classes.push(class.replace('/', "."));
                }
            }
        }
    }
    // Several mean that other jars were merged into this one: then none of them is its own.
    contents.version = if poms.len() == 1 {
        poms.pop_first()
    } else {
        manifest.or_else(|| version_in_name(label))
    };
    Ok(contents)
}

fn has_end(name: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

/// The class names of a service file: one a line, `#` begins a comment.
fn services(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|c| !c.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `1.2.3` of `…/name-1.2.3.jar`.
fn version_in_name(path: &str) -> Option<String> {
    let stem = path.rsplit('/').next()?.strip_suffix(".jar")?;
    stem.match_indices('-')
        .map(|(at, _)| &stem[at + 1..])
        .find(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may work.
    Warning,
    /// It can't work.
    Error,
}

/// Something that [`Inspection::check`] found. Shown, it says what it is and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// No jar has the class.
    ClassMissing {
        /// What was asked for.
        class: String,
        /// The nearest that there is.
        did_you_mean: Option<String>,
        /// All that the plugin lists of this sort.
        available: Vec<String>,
        /// `connector` or `config provider`.
        sort: &'static str,
    },
    /// A jar has the class, but no service file lists it.
    ClassNotListed {
        /// The class.
        class: String,
        /// Its jar.
        jar: String,
    },
    /// A service file lists the class, and no jar has it.
    ListedClassMissing {
        /// The class.
        class: String,
        /// The jar that lists it.
        jar: String,
    },
    /// The class is in the plugin more than once.
    ListedTwice {
        /// The class.
        class: String,
        /// The jars that list it.
        jars: Vec<String>,
    },
    /// The class's jar needs a newer Java.
    NeedsNewerJava {
        /// The class.
        class: String,
        /// Its jar.
        jar: String,
        /// What it needs.
        needs: u16,
        /// What the workers run.
        runs: u16,
    },
    /// Other jars beside it need a newer Java.
    DependenciesNeedNewerJava {
        /// Those jars.
        jars: Vec<String>,
        /// The most that one of them needs.
        needs: u16,
        /// What the workers run.
        runs: u16,
    },
    /// An archive in the ZIP, which Kafka Connect ignores.
    NestedArchive {
        /// Its path.
        path: String,
    },
}

impl Finding {
    /// Whether it can work all the same.
    pub fn severity(&self) -> Severity {
        match self {
            Self::ClassMissing { .. }
            | Self::ListedClassMissing { .. }
            | Self::NeedsNewerJava { .. } => Severity::Error,
            Self::ClassNotListed { .. }
            | Self::ListedTwice { .. }
            | Self::DependenciesNeedNewerJava { .. }
            | Self::NestedArchive { .. } => Severity::Warning,
        }
    }
}

/// MSK Connect's releases by the Java they run.
fn connect_of(java: u16) -> &'static str {
    match java {
        11 => " (Connect 2.7.1)",
        17 => " (Connect 3.7.x)",
        _ => "",
    }
}

/// What to do about a Java that is too old.
fn newer_java(needs: u16, runs: u16) -> &'static str {
    if runs < 17 && needs <= 17 {
        "use Connect 3.7.x, which runs Java 17, or an older release of the plugin"
    } else {
        "use an older release of the plugin"
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassMissing { class, did_you_mean: Some(near), sort, .. } => {
                write!(f, "the {sort} class `{class}` is not in the plugin: did you mean `{near}`?")
            }
            Self::ClassMissing { class, available, sort, .. } if available.is_empty() => {
                write!(
                    f,
                    "the {sort} class `{class}` is not in the plugin, which has no {sort} at all: add the part that has it"
                )
            }
            Self::ClassMissing { class, available, sort, .. } => {
                write!(
                    f,
                    "the {sort} class `{class}` is not in the plugin: use one of {}, or add the part that has it",
                    available.join(", ")
                )
            }
            Self::ClassNotListed { class, jar } => write!(
                f,
                "`{class}` is in `{jar}`, but no service file lists it: Connect finds it by scanning only, so keep `plugin.discovery` off `service_load`, or use a release that lists it"
            ),
            Self::ListedClassMissing { class, jar } => write!(
                f,
                "`{jar}` lists `{class}`, and no jar has that class: the plugin is incomplete, take it whole from its publisher"
            ),
            Self::ListedTwice { class, jars } => write!(
                f,
                "`{class}` is listed by {}: which one Connect loads is open, so leave one part out",
                jars.join(" and ")
            ),
            Self::NeedsNewerJava { class, jar, needs, runs } => {
                write!(
                    f,
                    "`{class}` can't load: `{jar}` needs Java {needs}, and the workers run Java {runs}{}: {}",
                    connect_of(*runs),
                    newer_java(*needs, *runs)
                )
            }
            Self::DependenciesNeedNewerJava { jars, needs, runs } => {
                write!(
                    f,
                    "{} have classes for Java {needs}, and the workers run Java {runs}{}: if they are ever used, {}",
                    jars.iter().map(|jar| format!("`{jar}`")).collect::<Vec<_>>().join(", "),
                    connect_of(*runs),
                    newer_java(*needs, *runs)
                )
            }
            Self::NestedArchive { path } => write!(
                f,
                "Connect doesn't look into `{path}`: if the plugin needs it, give its content as a part of its own"
            ),
        }
    }
}

impl Inspection {
    /// Says what keeps a connector class from running on workers of this Java (11 for Connect 2.7.1, 17 for 3.7.x); errors first.
    pub fn check(&self, connector_class: &str, runtime_java: u16) -> Vec<Finding> {
        let listed: Vec<&Provided> = self.sources.iter().chain(&self.sinks).collect();
        self.check_class("connector", connector_class, &listed, runtime_java)
    }

    /// The same for a config provider, which a worker configuration names.
    pub fn check_config_provider(&self, class: &str, runtime_java: u16) -> Vec<Finding> {
        self.check_class(
            "config provider",
            class,
            &self.config_providers.iter().collect::<Vec<_>>(),
            runtime_java,
        )
    }

    fn check_class(
        &self,
        sort: &'static str,
        class: &str,
        listed: &[&Provided],
        runs: u16,
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            self.nested.iter().map(|path| Finding::NestedArchive { path: path.clone() }).collect();
        let listing: Vec<&str> =
            listed.iter().filter(|p| p.class == class).map(|p| p.jar.as_str()).collect();
        let home = self.classes.get(class).map(|&at| &self.jars[at]);
        match (listing.as_slice(), home) {
            ([], None) => findings.push(Finding::ClassMissing {
                class: class.to_owned(),
                did_you_mean: nearest(class, listed),
                available: listed
                    .iter()
                    .map(|p| p.class.clone())
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect(),
                sort,
            }),
            ([], Some(jar)) => findings
                .push(Finding::ClassNotListed { class: class.to_owned(), jar: jar.path.clone() }),
            (&[jar, ..], None) => findings
                .push(Finding::ListedClassMissing { class: class.to_owned(), jar: jar.to_owned() }),
            (jars @ [_, _, ..], Some(_)) => {
                findings.push(Finding::ListedTwice {
                    class: class.to_owned(),
                    jars: jars.iter().map(|&j| j.to_owned()).collect(),
                });
            }
            _ => {}
        }
        if let Some(home) = home {
            let folder = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
            let newer = |jar: &Jar| jar.java().filter(|&needs| needs > runs);
            if let Some(needs) = newer(home) {
                findings.push(Finding::NeedsNewerJava {
                    class: class.to_owned(),
                    jar: home.path.clone(),
                    needs,
                    runs,
                });
            }
            // One folder is one class loader; the others don't meet this class.
            let beside = self.jars.iter().filter(|jar| {
                jar.path != home.path
                    && folder(&jar.path) == folder(&home.path)
                    && newer(jar).is_some()
            });
            let jars: Vec<String> = beside.clone().map(|jar| jar.path.clone()).collect();
            if let Some(needs) = beside.filter_map(newer).max() {
                findings.push(Finding::DependenciesNeedNewerJava { jars, needs, runs });
            }
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
        findings
    }
}

/// The listed class that was probably meant: the same simple name, or a text much like it.
fn nearest(class: &str, listed: &[&Provided]) -> Option<String> {
    let simple = |c: &str| c.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let likeness = |p: &Provided| {
        let simple_names = strsim::jaro_winkler(&simple(class), &simple(&p.class));
        simple_names.max(strsim::jaro_winkler(class, &p.class) - 0.05)
    };
    let best = listed.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= 0.85).then(|| best.class.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{class, folder, zip};

    const MYSQL: &str = "io.debezium.connector.mysql.MySqlConnector";

    fn inspected(entries: &[(&str, Vec<u8>)]) -> Inspection {
        let folder = folder();
        let path = folder.path().join("plugin.zip");
        std::fs::write(&path, zip(entries)).expect("write");
        inspect(&path, &Limits::default()).expect("a plugin")
    }

    fn connector_jar(major: u16) -> Vec<u8> {
        zip(&[
            (SOURCE, format!("# ours\n{MYSQL} # the one\n\n").into_bytes()),
            (
                "META-INF/maven/io.debezium/x/pom.properties",
                b"artifactId=x\nversion=2.7.4.Final\n".to_vec(),
            ),
            (
                "META-INF/MANIFEST.MF",
                b"Manifest-Version: 1.0\nImplementation-Version: 9\n".to_vec(),
            ),
            ("META-INF/versions/21/io/debezium/New.class", class(65)),
            ("module-info.class", class(65)),
            ("io/debezium/connector/mysql/MySqlConnector.class", class(major)),
            ("io/debezium/connector/mysql/Old.class", class(52)),
            ("io/debezium/connector/mysql/Odd.class", b"not a class".to_vec()),
        ])
    }

    fn plugin(major: u16) -> Inspection {
        inspected(&[
            ("dbz/connector.jar", connector_jar(major)),
            ("dbz/dep-1.5.jar", zip(&[("a/B.class", class(61))])),
            ("other/new-2.jar", zip(&[("a/C.class", class(69))])),
            ("dbz/README.md", b"hello".to_vec()),
            ("dbz/inner.zip", b"PK".to_vec()),
        ])
    }

    fn said(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|f| format!("{:?}: {f}", f.severity())).collect()
    }

    #[test]
    fn connectors_versions_and_class_files_are_read_from_the_jars() {
        let plugin = plugin(55);
        assert_eq!(
            plugin.sources,
            [Provided {
                class: MYSQL.into(),
                jar: "dbz/connector.jar".into(),
                version: Some("2.7.4.Final".into())
            }]
        );
        let jars: Vec<_> = plugin
            .jars
            .iter()
            .map(|j| (j.path.as_str(), j.version.as_deref(), j.class_major, j.java()))
            .collect();
        assert_eq!(
            jars,
            [
                ("dbz/connector.jar", Some("2.7.4.Final"), Some(55), Some(11)),
                ("dbz/dep-1.5.jar", Some("1.5"), Some(61), Some(17)),
                ("other/new-2.jar", Some("2"), Some(69), Some(25)),
            ]
        );
        assert_eq!(plugin.nested, ["dbz/inner.zip"]);
    }

    #[test]
    fn a_plugin_that_fits_has_no_error() {
        assert_eq!(
            said(&plugin(55).check(MYSQL, 17)),
            [
                "Warning: Connect doesn't look into `dbz/inner.zip`: if the plugin needs it, give its content as a part of its own"
            ]
        );
        let findings = plugin(55).check(MYSQL, 11);
        assert!(
            matches!(
                &findings[..],
                [
                    Finding::NestedArchive { .. },
                    Finding::DependenciesNeedNewerJava { needs: 17, runs: 11, .. }
                ]
            ),
            "{findings:?}"
        );
    }

    #[test]
    fn a_class_for_a_newer_java_is_an_error_that_names_the_way_out() {
        let findings = said(&plugin(61).check(MYSQL, 11));
        assert_eq!(
            findings[0],
            format!(
                "Error: `{MYSQL}` can't load: `dbz/connector.jar` needs Java 17, and the workers run Java 11 (Connect 2.7.1): \
                 use Connect 3.7.x, which runs Java 17, or an older release of the plugin"
            )
        );
        assert!(
            said(&plugin(65).check(MYSQL, 17))[0]
                .ends_with("(Connect 3.7.x): use an older release of the plugin")
        );
    }

    #[test]
    fn a_wrong_class_gets_a_suggestion() {
        let plugin = plugin(55);
        for wrong in [
            "io.debezium.connector.mysql.MysqlConnector",
            "MySqlConnector",
            "io.debezium.connector.mysql.MySqlConector",
        ] {
            assert_eq!(
                said(&plugin.check(wrong, 17))[0],
                format!(
                    "Error: the connector class `{wrong}` is not in the plugin: did you mean `{MYSQL}`?"
                )
            );
        }
        assert_eq!(
            said(&plugin.check("com.example.Sink", 17))[0],
            format!(
                "Error: the connector class `com.example.Sink` is not in the plugin: use one of {MYSQL}, or add the part that has it"
            )
        );
        assert!(
            said(&plugin.check_config_provider("com.example.Vault", 17))[0]
                .contains("has no config provider at all")
        );
    }

    #[test]
    fn a_class_without_a_service_file_or_a_service_without_its_class_is_told() {
        let lists = |class: &str| (SINK, format!("{class}\n").into_bytes());
        let plugin = inspected(&[
            (
                "p/a.jar",
                zip(&[
                    ("x/Unlisted.class", class(52)),
                    ("x/Twice.class", class(52)),
                    lists("x.Twice"),
                ]),
            ),
            ("p/b.jar", zip(&[lists("x.Twice")])),
            ("p/c.jar", zip(&[lists("x.Gone")])),
        ]);
        let kinds = |c: &str| plugin.check(c, 11);
        assert!(matches!(&kinds("x.Unlisted")[..], [Finding::ClassNotListed { .. }]));
        assert!(
            matches!(&kinds("x.Twice")[..], [Finding::ListedTwice { jars, .. }] if jars.len() == 2)
        );
        assert!(
            matches!(&kinds("x.Gone")[..], [f @ Finding::ListedClassMissing { .. }] if f.severity() == Severity::Error)
        );
    }

    #[test]
    fn a_compressed_plugin_of_another_maker_is_read_too() {
        let folder = folder();
        let path = folder.path().join("plugin.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).expect("create"));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        writer.start_file("dbz/connector.jar", options).expect("entry");
        io::Write::write_all(&mut writer, &connector_jar(55)).expect("write");
        writer.finish().expect("finish");
        let small = Limits { file: 10, ..Limits::default() };
        assert_eq!(inspect(&path, &Limits::default()).expect("a plugin").sources.len(), 1);
        assert!(matches!(
            inspect(&path, &small),
            Err(Error::Archive { problem: ArchiveProblem::File { .. }, .. })
        ));
    }
}
