//! The file: read, checked, expanded to resources.

use msk_pipeline_aws::Artifacts;
use msk_pipeline_core::dsl::{Components, Document, Expanded, Facts, Pipeline};
use msk_pipeline_core::graph::Graph;
use msk_pipeline_core::kind::Registry;
use msk_pipeline_core::state::Pin;

use crate::diagnostic::{Failure, Text};
use crate::exit::Exit;
use crate::provider;
use crate::settings::Settings;

/// A file that was read and has no wrong keys.
pub(crate) struct Declaration {
    pub(crate) source: Text,
    pub(crate) pipeline: Pipeline,
    components: Components,
}

impl Declaration {
    /// Reads the file.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Failure> {
        let name = settings.file.display().to_string();
        let text = std::fs::read(&settings.file).map_err(|error| {
            let failure = Failure::new(Exit::Invalid, format!("{name} can't be read: {error}"));
            match error.kind() {
                std::io::ErrorKind::NotFound => failure.help(format!(
                    "name the file with -f, or write one with `{}`",
                    settings.command("init")
                )),
                _ => failure,
            }
        })?;
        let text = String::from_utf8(text).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].split(|&b| b == b'\n').count();
            Failure::new(Exit::Invalid, format!("{name} is not UTF-8 text, first in line {line}"))
                .help("save it as UTF-8")
        })?;
        // A byte order mark is an editor's habit, not content.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Self::of(settings, Text { name, text })
    }

    /// Checks a text.
    pub(crate) fn of(settings: &Settings, source: Text) -> Result<Self, Failure> {
        let components = provider::components();
        let pipeline = Document::parse(&source.text)
            .and_then(|document| document.pipeline(&components, &settings.overlay))
            .map_err(|problems| Failure::problems(&problems, source.clone()))?;
        Ok(Self { source, pipeline, components })
    }

    /// Expands the declaration and orders its resources.
    pub(crate) fn expand(
        &self,
        pin: &Pin,
        facts: &Facts,
        registry: &Registry,
    ) -> Result<(Expanded, Graph), Failure> {
        let expanded = self
            .pipeline
            .expand(&self.components, pin, facts)
            .map_err(|problems| Failure::problems(&problems, self.source.clone()))?;
        let graph = Graph::build(expanded.resources.clone(), registry)
            .map_err(|errors| Failure::graph(&errors))?;
        Ok((expanded, graph))
    }

    /// Expands without AWS: account, partition and facts are stand-ins where the file does not tell.
    pub(crate) fn expand_offline(&self) -> Result<(Expanded, Graph), Failure> {
        let header = self.pipeline.header();
        let place = msk_pipeline_local::Settings::new(header.region.as_str());
        let pin = Pin {
            account: header.account.clone().unwrap_or(place.account.clone()),
            region: header.region.clone(),
            partition: place.partition().into(),
        };
        let registry = provider::registry(&provider::nowhere(), &Artifacts::default());
        self.expand(&pin, &Facts::default(), &registry)
    }
}
