"""docs/aws-behaviour.md against the code and the tests: no word of AWS is matched, no number of it played, without a
belief; no belief is without a source and a test."""

import unittest

from .behaviour import named_tests, numbers, page, words


class Register(unittest.TestCase):
    def test_every_belief_has_an_id_a_source_a_standing_and_tests_that_there_are(self):
        beliefs = page.beliefs()
        self.assertGreater(len(beliefs), 50)
        ids = [belief.id for belief in beliefs]
        self.assertEqual([], sorted({id for id in ids if ids.count(id) > 1}), "twice")
        for belief in beliefs:
            with self.subTest(belief.id):
                self.assertIn(belief.standing, page.STANDINGS)
                if belief.standing != "open":
                    self.assertRegex(belief.source, r"https://|API model", "no source")
                self.assertTrue(belief.tests, "no test rests on it")
                missing = [test for test in belief.tests if not named_tests.exists(test)]
                self.assertEqual([], missing, "there is no such test")

    def test_every_open_belief_can_be_settled_and_no_other_is(self):
        settled = page.settled()
        open_ones = {belief.id for belief in page.beliefs() if belief.standing == "open"}
        self.assertEqual(open_ones, set(settled))
        for id, commands in settled.items():
            self.assertRegex(commands, r"(?m)^(.* )?aws \w", id)

    def test_every_word_of_aws_that_code_matches_is_in_a_belief(self):
        known = page.words()
        matched = words.matched()
        self.assertGreater(len(matched), 20)
        missing = {word: sorted(paths) for word, paths in matched.items() if word not in known}
        self.assertEqual({}, missing, "words of AWS without a belief")

    def test_every_number_of_the_embedded_aws_has_a_belief(self):
        ids = {belief.id for belief in page.beliefs()}
        found = list(numbers.all_of_them())
        self.assertGreater(len(found), 10)
        self.assertEqual([], [(where, belief) for where, belief in found if belief not in ids])


class Words(unittest.TestCase):
    """What the register is held against is found, and nothing else."""

    def found(self, source):
        return words.of_source(source)

    def test_codes_and_texts_are_found_in_every_shape(self):
        self.assertEqual({"Gone"}, self.found('if error.code() == Some("Gone") { call("Other") }'))
        self.assertEqual({"A", "B"}, self.found('fn f(code: &str) -> bool { matches!(code, "A" | "B") }'))
        self.assertEqual({"is gone"}, self.found('let x = error.message().contains("is gone");'))
        self.assertEqual({"one", "two"}, self.found('["one", "two"].iter().any(|word| message.contains(word))'))
        self.assertEqual({"Busy"}, self.found('const BUSY: [&str; 1] = ["Busy"]; fn f(code: &str) { BUSY.contains(&code) }'))
        self.assertEqual({"SomeException"}, self.found('let code = "SomeException";'))

    def test_what_is_said_and_what_is_only_tested_is_not_found(self):
        self.assertEqual(set(), self.found('return Err(format!("no message contains {this}", "that"));'))
        self.assertEqual(set(), self.found('invocation.call("StopTask", message.contains(x))'))
        self.assertEqual(set(), self.found('// error.code() == Some("Gone")'))
        self.assertEqual(set(), self.found('#[cfg(test)] mod tests { fn f() { error.code() == Some("Gone"); } }'))

    def test_a_number_has_the_belief_of_what_is_around_it(self):
        data = {"a": {"belief": "one", "quick": 1, "real": {"seconds": [2, 3]}}, "b": {"seconds": 4}}
        self.assertEqual(
            [("x: a: quick", "one"), *[("x: a: real: seconds", "one")] * 2, ("x: b: seconds", None)],
            list(numbers.of_data("x", data, None)),
        )

    def test_a_test_is_found_by_its_package_and_name(self):
        self.assertTrue(named_tests.exists("embedded-aws::test_behaviour::test_a_test_is_found_by_its_package_and_name"))
        self.assertTrue(named_tests.exists("testbed::embedded_aws::the_embedded_aws_passes_its_own_tests"))
        self.assertFalse(named_tests.exists("testbed::queues::the_embedded_aws_passes_its_own_tests"))
        self.assertFalse(named_tests.exists("embedded-aws::exists"))
