//! A person at the console, written down: wait for this, type that.

use serde::Deserialize;

use super::pattern::Pattern;

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What must appear first, after what the step before has seen; an unfinished line counts too,
    /// because a prompt is one.
    pub after: Pattern,
    /// What is typed then; `{n}` in it is how often the step has been done before.
    pub send: String,
    /// How often the step is done.
    #[serde(default = "once")]
    pub times: u32,
}

const fn once() -> u32 {
    1
}

/// Steps being performed.
#[derive(Debug)]
pub struct Script<'a> {
    steps: std::slice::Iter<'a, Step>,
    /// How often the first step has been done.
    done: u32,
    unseen: String,
}

impl<'a> Script<'a> {
    /// Nothing typed yet.
    pub fn new(steps: &'a [Step]) -> Self {
        Self { steps: steps.iter(), done: 0, unseen: String::new() }
    }

    /// Takes more output; the answer is what to type now.
    pub fn hear(&mut self, output: &[u8]) -> Vec<u8> {
        let mut keys = Vec::new();
        self.unseen.push_str(&String::from_utf8_lossy(output));
        while let Some(step) = self.steps.as_slice().first() {
            let Some(end) = step.after.end_in(&self.unseen) else { break };
            self.unseen.drain(..end);
            let send = step.send.replace("{n}", &self.done.to_string());
            keys.extend_from_slice(send.as_bytes());
            self.done += 1;
            if self.done >= step.times {
                self.steps.next();
                self.done = 0;
            }
        }
        keys
    }

    /// The step that was never reached.
    pub fn waiting_for(&self) -> Option<&'a Pattern> {
        self.steps.as_slice().first().map(|step| &step.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_each_other() {
        let steps: Vec<Step> = ["# ", "# ", "bye"]
            .iter()
            .zip(["one\n", "two\n", ""])
            .map(|(after, send)| Step {
                after: Pattern::Text((*after).to_owned()),
                send: send.to_owned(),
                times: 1,
            })
            .collect();
        let mut script = Script::new(&steps);
        assert!(script.hear(b"boot\n#").is_empty());
        assert_eq!(script.hear(b" "), b"one\n");
        assert!(script.hear(b"one\r\n1").is_empty());
        assert_eq!(script.hear(b"\r\n# bye"), b"two\n");
        assert!(script.waiting_for().is_none());
    }

    #[test]
    fn a_step_may_be_done_many_times() {
        let step = |send: &str, times| Step {
            after: Pattern::Text("?".to_owned()),
            send: send.to_owned(),
            times,
        };
        let steps = [step("a{n}", 2), step("b", 1)];
        let mut script = Script::new(&steps);
        assert_eq!(script.hear(b"?"), b"a0");
        assert_eq!(script.waiting_for().unwrap().to_string(), "`?`");
        assert_eq!(script.hear(b"? ? ?"), b"a1b");
        assert!(script.waiting_for().is_none());
    }

    #[test]
    fn an_unreached_step_is_named() {
        let steps = [Step {
            after: Pattern::Text("login:".to_owned()),
            send: "root\n".to_owned(),
            times: 1,
        }];
        let mut script = Script::new(&steps);
        script.hear(b"panic");
        assert_eq!(script.waiting_for().unwrap().to_string(), "`login:`");
    }
}
