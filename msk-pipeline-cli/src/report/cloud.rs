//! What stands behind what is shown: AWS, nothing, or real programs on this machine.

use serde_json::Value;

use super::json::VERSION;
use super::words::SIMULATED;

/// The kind of AWS that a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    /// AWS itself.
    Aws,
    /// The embedded AWS; nothing stands behind it.
    Simulated,
    /// The embedded AWS, with real programs behind databases, clusters and connectors.
    Real,
}

impl Cloud {
    /// The mark at the end of a line, after `lead`. On a world with real programs lines have none: what is simulated there is said once.
    pub(crate) fn mark(self, lead: &str) -> String {
        match self {
            Cloud::Simulated => format!("{lead}{SIMULATED}"),
            Cloud::Aws | Cloud::Real => String::new(),
        }
    }

    /// Whether all of it is simulated.
    pub(crate) fn is_simulated(self) -> bool {
        self == Cloud::Simulated
    }

    /// A JSON object as a document of its version that says what it is about.
    pub(crate) fn document(self, mut object: Value) -> Value {
        object["version"] = VERSION.into();
        object["simulated"] = self.is_simulated().into();
        object["cloud"] = self.word().into();
        object
    }

    /// The word for it in JSON.
    fn word(self) -> &'static str {
        match self {
            Cloud::Aws => "aws",
            Cloud::Simulated => "simulated",
            Cloud::Real => "real-programs",
        }
    }

    /// A name for `place` in it.
    pub(crate) fn place(self, place: &str) -> String {
        match self {
            Cloud::Aws => place.to_owned(),
            Cloud::Simulated => format!("embedded AWS, {place}, {SIMULATED}"),
            Cloud::Real => format!("embedded AWS, {place}, real programs"),
        }
    }

    /// What has to be known besides of a world with real programs, whose time goes `scale` times as fast as real time.
    pub(crate) fn note(self, scale: f64) -> Option<String> {
        (self == Cloud::Real).then(|| {
            format!(
                "Real programs stand behind databases, clusters and connectors, which take as long as they take; AWS's time goes {scale} times \
                 as fast. All else is {SIMULATED}: network, NAT, security groups, IAM except connecting to brokers, and every delay."
            )
        })
    }
}

/// Whether an object of a service is simulated on a world with real programs.
pub(crate) fn stays_simulated(service: &str) -> bool {
    !["kafka", "kafkaconnect", "rds"].contains(&service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_stands_behind_is_marked() {
        assert_eq!(Cloud::Simulated.mark("  "), "  SIMULATED");
        assert_eq!(Cloud::Real.mark(" ") + &Cloud::Aws.mark(" "), "");
        let note = Cloud::Real.note(10.0).expect("said");
        assert!(note.contains("10 times") && note.contains(SIMULATED), "{note}");
        assert_eq!((Cloud::Aws.note(1.0), Cloud::Simulated.note(180.0)), (None, None));
        assert!(stays_simulated("ec2") && stays_simulated("iam") && !stays_simulated("kafka"));
    }
}
