//! Exit codes. When several hold, the first of the documented order counts.

use std::process::ExitCode;

/// How a command ended, from the weakest claim to the exit code to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Done,
    /// Changes are present; told only with `--detailed-exitcode`.
    Changes,
    /// A gate was declined, or is open.
    Gate,
    Failed,
    /// Refused because data would be lost.
    DataLoss,
    Locked,
    /// Invalid input or usage, or a wrong account.
    Invalid,
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Invalid => 3,
            Exit::Gate => 4,
            Exit::Locked => 5,
            Exit::DataLoss => 6,
            Exit::Interrupted => 130,
        }
    }

    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Changes => "changes",
            Exit::Gate => "gate",
            Exit::Failed => "failed",
            Exit::DataLoss => "data_loss",
            Exit::Locked => "locked",
            Exit::Invalid => "invalid",
            Exit::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_documented_order_decides() {
        use Exit::{Changes, DataLoss, Done, Failed, Gate, Interrupted, Invalid, Locked};
        let documented = [Interrupted, Invalid, Locked, DataLoss, Failed, Gate, Changes, Done];
        assert_eq!(documented.map(Exit::code), [130, 3, 5, 6, 1, 4, 2, 0]);
        assert!(documented.is_sorted_by(|a, b| a > b));
    }
}
