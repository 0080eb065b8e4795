//! A plan as a person reads it before agreeing to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use msk_pipeline_core::dsl::Notice;
use msk_pipeline_core::kind::{Change, DataEffect, Effect, ErasedProposed, Verdict};
use msk_pipeline_core::plan::{Action, Plan, Step, Verb};
use msk_pipeline_core::state::Pin;
use serde_json::Value;

use super::cloud::Cloud;
use super::words::{count, span, span_here, value};
use crate::printer::{Paint, tame, wrap};

/// What becomes of objects that a destroy keeps.
pub(crate) const KEPT: &str = "An apply with the same file and state takes them back. Without that state, name the database in `existing` \
     and its secret in `capture.secret`, or delete all of them by hand.";

/// How a plan is shown.
pub(crate) struct View<'a> {
    pub(crate) paint: Paint,
    pub(crate) width: usize,
    pub(crate) verbose: u8,
    /// What it is a plan for.
    pub(crate) cloud: Cloud,
    /// World time in one unit of real time.
    pub(crate) scale: f64,
    /// What only a person can do.
    pub(crate) notices: &'a [Notice],
}

/// Where a pipeline is, for people.
pub(crate) fn place(pin: &Pin, cloud: Cloud) -> String {
    cloud.place(&format!("account {}, {}", pin.account, pin.region))
}

impl View<'_> {
    /// The whole plan with its summary, without what to do next.
    pub(crate) fn plan(&self, plan: &Plan) -> String {
        let mut out = Vec::new();
        let verb = match plan.verb {
            Verb::Apply => "Plan",
            Verb::Destroy => "Plan to destroy",
        };
        let title = format!("{verb} {} ({})", plan.pipeline, place(&plan.pin, self.cloud));
        out.push(self.paint.bold(wrap(&title, self.width, 2)));
        let replaced: BTreeSet<&str> = {
            let of = |action: Action| {
                let steps = plan.steps.iter().filter(move |s| s.action == action);
                steps.map(|s| s.address.as_str()).collect::<BTreeSet<_>>()
            };
            of(Action::Create).intersection(&of(Action::Delete)).copied().collect()
        };
        for stage in stages(plan, |s| self.is_shown(s)) {
            out.push(String::new());
            out.push(self.paint.bold(format!("Stage {stage}")));
            let of_stage = plan.steps.iter().filter(|s| s.stage == stage && self.is_shown(s));
            for step in of_stage {
                self.step(step, replaced.contains(step.address.as_str()), &mut out);
            }
        }
        self.kept(plan, &mut out);
        self.refusals(plan, &mut out);
        self.consents(plan, &mut out);
        self.notices(&mut out);
        out.push(String::new());
        out.push(self.summary(plan));
        out.join("\n")
    }

    fn is_shown(&self, step: &Step) -> bool {
        step.changes()
            || step.keeps
            || self.verbose > 1
            || (self.verbose > 0 && step.action == Action::Record)
    }

    fn step(&self, step: &Step, replaced: bool, out: &mut Vec<String>) {
        let p = self.paint;
        let (sign, word) = match (step.action, replaced) {
            (Action::Create, true) => ("+", "create as replacement"),
            (Action::Delete, true) => ("-", "delete to replace"),
            (Action::Create, false) => ("+", "create"),
            (Action::Update, _) if step.adoption.is_some() => ("~", "take over"),
            (Action::Update, _) => ("~", "change"),
            (Action::Delete, false) => ("-", "delete"),
            (Action::Wait, _) => (">", "wait for"),
            (Action::Record, _) if step.keeps => ("=", "keep and forget"),
            (Action::Record, _) => ("=", "record"),
            (Action::NoOp, _) => ("=", "as declared"),
        };
        let head = format!("{sign} {word}");
        let head = match step.action {
            Action::Create => p.green(head),
            Action::Update => p.yellow(head),
            Action::Delete => p.red(head),
            _ => p.cyan(head),
        };
        let name = if step.name.is_empty() || step.name == step.address.as_str() {
            String::new()
        } else {
            format!("  {}", p.dim(tame(&step.name)))
        };
        self.line(2, &format!("{head} {}{name}", p.bold(&step.address)), out);
        if let Some(because) = &step.because {
            self.line(6, &format!("because {}", tame(because)), out);
        }
        if let Some(condition) = &step.in_flight {
            let mark = self.cloud.mark(" ");
            let text = format!(
                "in flight: {} now, waits for {} (usually {}){mark}",
                tame(&condition.seen),
                tame(&condition.what),
                span(condition.usual)
            );
            self.line(6, &p.cyan(text), out);
        }
        for call in &step.calls {
            self.call(call, out);
        }
    }

    fn call(&self, call: &ErasedProposed, out: &mut Vec<String>) {
        let mut head = call.op.clone();
        if call.usual_secs > 0 {
            head += &format!(", about {}", span(Duration::from_secs(call.usual_secs)));
        }
        if let Some(condition) = &call.only_if {
            head += &format!(", only if {}", tame(condition.trim_start_matches("if ")));
        }
        self.line(6, &self.paint.cyan(head), out);
        let widest = call.fields.iter().map(|f| f.field.chars().count()).max().unwrap_or(0).min(28);
        for field in &call.fields {
            self.field(field, call.effect, widest, out);
        }
        self.data(&call.data, 8, out);
    }

    fn field(&self, change: &Change, effect: Effect, widest: usize, out: &mut Vec<String>) {
        let name = tame(&change.field);
        let text = match (&change.from, &change.to) {
            (Some(Value::String(from)), Some(Value::String(to)))
                if from.contains('\n') || to.contains('\n') =>
            {
                out.push(format!("        {name}:"));
                return self.lines(from, to, out);
            }
            (None, Some(Value::String(to))) if to.contains('\n') => {
                out.push(format!("        {name}:"));
                return self.lines("", to, out);
            }
            (None, Some(to)) if effect == Effect::Create => self.value(to),
            (None, Some(to)) => format!("(not set) → {}", self.value(to)),
            (Some(from), None) => format!("{} → (removed)", self.value(from)),
            (Some(from), Some(to)) => format!("{} → {}", self.value(from), self.value(to)),
            (None, None) => String::new(),
        };
        let line = format!("        {name:widest$}  {text}");
        out.push(wrap(&line, self.width, 10 + widest));
    }

    /// A value; a long one is cut unless more was asked for.
    fn value(&self, of: &Value) -> String {
        const LONG: usize = 160;
        let text = value(of);
        if self.verbose > 0 || text.chars().count() <= LONG {
            return text;
        }
        let cut: String = text.chars().take(LONG - 20).collect();
        format!("{cut}… (-v shows all)")
    }

    /// The lines by which two texts differ.
    fn lines(&self, from: &str, to: &str, out: &mut Vec<String>) {
        let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
            (from.lines().collect(), to.lines().collect());
        for line in from.lines().filter(|l| !new.contains(l)) {
            out.push(format!("          {}", self.paint.red(format!("- {}", tame(line)))));
        }
        for line in to.lines().filter(|l| !old.contains(l)) {
            out.push(format!("          {}", self.paint.green(format!("+ {}", tame(line)))));
        }
    }

    fn data(&self, data: &DataEffect, indent: usize, out: &mut Vec<String>) {
        let what = tame(&data.what);
        let colon = if what.is_empty() { "" } else { ": " };
        let p = self.paint;
        let text = match data.verdict {
            Verdict::None => return,
            Verdict::Lost => format!("{} {what}", p.alarm("!! DATA LOST !!")),
            Verdict::Resnapshot => format!("{} {what}", p.alarm("!! RESNAPSHOT !!")),
            milder => p.yellow(format!("data: {milder}{colon}{what}")),
        };
        self.line(indent, &text, out);
    }

    fn line(&self, indent: usize, text: &str, out: &mut Vec<String>) {
        out.push(wrap(&format!("{}{text}", " ".repeat(indent)), self.width, indent + 2));
    }

    /// What stays in AWS although nothing is recorded of it any more.
    fn kept(&self, plan: &Plan, out: &mut Vec<String>) {
        let kept = plan.steps.iter().filter(|s| s.keeps).count();
        if kept > 0 {
            out.push(String::new());
            let what = count(kept, "resource");
            let text =
                format!("`on_destroy = \"keep\"` leaves {what} in AWS and forgets them. {KEPT}");
            out.push(self.paint.yellow(wrap(&text, self.width, 2)));
        }
    }

    fn refusals(&self, plan: &Plan, out: &mut Vec<String>) {
        if plan.refusals.is_empty() {
            return;
        }
        out.push(String::new());
        out.push(self.paint.red(self.paint.bold("This can't be carried out:")));
        for refusal in &plan.refusals {
            let text =
                format!("x {}: {}", self.paint.bold(&refusal.address), tame(&refusal.because));
            self.line(2, &text, out);
            if !refusal.help.is_empty() {
                self.line(4, &format!("help: {}", tame(&refusal.help)), out);
            }
        }
    }

    fn consents(&self, plan: &Plan, out: &mut Vec<String>) {
        let affected = plan.needs_consent();
        if affected.is_empty() {
            return;
        }
        out.push(String::new());
        let lost = affected.values().any(|d| d.verdict == Verdict::Lost);
        let what = if lost { "DATA WOULD BE LOST" } else { "DATA WOULD BE READ AGAIN" };
        let all = count(affected.len(), "resource");
        out.push(format!("{} in {all}:", self.paint.alarm(format!("!! {what} !!"))));
        for (address, data) in affected {
            let verdict = data.verdict.to_string().to_uppercase();
            let text = format!("{}  {verdict}: {}", self.paint.bold(address), tame(&data.what));
            self.line(2, text.trim_end_matches([':', ' ']), out);
        }
    }

    /// The exact statements that only a person can carry out.
    pub(crate) fn notices(&self, out: &mut Vec<String>) {
        for notice in self.notices {
            out.push(String::new());
            let title = format!("By hand, {}: {}", notice.about, tame(&notice.title));
            out.push(self.paint.bold(wrap(&title, self.width, 2)));
            // Not wrapped: it is to be copied.
            out.extend(notice.body.lines().map(|line| format!("    {}", tame(line))));
        }
    }

    fn summary(&self, plan: &Plan) -> String {
        let mark = self.cloud.mark(" ");
        let recorded = plan.steps.iter().filter(|s| s.action == Action::Record).count();
        let as_declared = plan.steps.iter().filter(|s| s.action == Action::NoOp).count();
        let kept = plan.steps.iter().filter(|s| s.keeps).count();
        let recorded = recorded - kept;
        if !plan.has_changes() && plan.refusals.is_empty() {
            let text = match plan.verb {
                Verb::Destroy if plan.steps.is_empty() => {
                    "No changes: nothing is recorded, so there is nothing to destroy.".into()
                }
                Verb::Destroy if kept > 0 => {
                    format!(
                        "Nothing to delete: {} would be kept and forgotten.",
                        count(kept, "resource")
                    )
                }
                Verb::Destroy => format!(
                    "Nothing to delete: {} in the state exists no more and would be forgotten.",
                    count(recorded, "resource")
                ),
                Verb::Apply if recorded > 0 => format!(
                    "No changes: AWS is as declared; {} would be noted in the state.",
                    count(recorded, "resource")
                ),
                Verb::Apply => format!(
                    "No changes: {} as declared.",
                    match as_declared {
                        1 => "1 resource is".into(),
                        n => format!("all {n} resources are"),
                    }
                ),
            };
            return format!("{}{mark}", self.paint.green(self.paint.bold(text)));
        }
        let mut parts = Vec::new();
        for (action, word) in [
            (Action::Create, "to create"),
            (Action::Update, "to change"),
            (Action::Delete, "to delete"),
            (Action::Wait, "to wait for"),
        ] {
            let steps = plan.steps.iter().filter(|s| s.adoption.is_none());
            let n = steps.filter(|s| s.action == action).count();
            if n > 0 {
                parts.push(format!("{n} {word}"));
            }
        }
        let taken = plan.steps.iter().filter(|s| s.adoption.is_some()).count();
        if taken > 0 {
            parts.push(format!("{taken} to take over"));
        }
        if kept > 0 {
            parts.push(format!("{kept} to keep and forget"));
        }
        if parts.is_empty() {
            parts.push("nothing to do".into());
        }
        let unchanged = match as_declared + recorded {
            0 => String::new(),
            n => format!("; {n} as declared"),
        };
        let time = match critical_path(plan) {
            0 => String::new(),
            secs => {
                let here = span_here(Duration::from_secs(secs), self.scale);
                format!(" It takes about {here}.")
            }
        };
        let title = self.paint.bold(format!("Plan: {}{unchanged}.", parts.join(", ")));
        wrap(&format!("{title}{time}{mark}"), self.width, 2)
    }
}

/// The stages that are shown: in the plan's order, then those without changes.
fn stages(plan: &Plan, shown: impl Fn(&Step) -> bool) -> Vec<&str> {
    let mut stages = plan.stages();
    for step in plan.steps.iter().filter(|s| shown(s)) {
        if !stages.contains(&step.stage.as_str()) {
            stages.push(&step.stage);
        }
    }
    stages.retain(|stage| plan.steps.iter().any(|s| s.stage == *stage && shown(s)));
    stages
}

/// The usual duration of the longest chain of steps, in seconds.
fn critical_path(plan: &Plan) -> u64 {
    let mut ends: BTreeMap<usize, u64> = BTreeMap::new();
    for (n, step) in plan.steps.iter().enumerate() {
        let begins = step.after.iter().filter_map(|b| ends.get(b)).max().copied().unwrap_or(0);
        let waits = step.in_flight.as_ref().map_or(0, |c| c.usual.as_secs());
        let calls: u64 = step.calls.iter().map(|c| c.usual_secs).sum();
        ends.insert(n, begins + waits + calls);
    }
    ends.values().max().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
