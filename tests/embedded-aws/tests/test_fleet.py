from .aws import WorldTest, ask, named


class Fleet(WorldTest):
    def test_is_the_same_in_every_world(self):
        first = self.state()
        other = ask("POST", f"{self.control}/worlds", {})
        self.addCleanup(ask, "DELETE", f"{self.control}/worlds/{other['pid']}")
        second = ask("GET", f"{other['url']}/_embedded/state")
        del first["now_ms"], second["now_ms"]
        self.assertEqual(first, second)

    def test_what_happens_in_one_world_is_unseen_in_another(self):
        other = ask("POST", f"{self.control}/worlds", {})
        self.addCleanup(ask, "DELETE", f"{self.control}/worlds/{other['pid']}")
        instance = self.first()
        self.detach(instance)
        groups = ask("GET", f"{other['url']}/_embedded/state")["groups"]
        self.assertIn(instance, [i["id"] for i in named(groups, "inference")["instances"]])

    def test_first_inference_instance_carries_a_task_of_every_kind(self):
        tasks = [t for t in self.cluster()["tasks"] if t["instance"] == self.first()]
        self.assertEqual(
            {(t["family"], t["kind"], *t["accelerators"]) for t in tasks},
            {
                ("classifier", "service"),
                ("ranker", "service"),
                ("embedder", "service", "elastic-inference:eia2.medium"),
                ("batch-score", "standalone", "elastic-inference:eia2.large"),
                ("fine-tune", "standalone", "gpu:1"),
                ("compile", "standalone", "neuron:1"),
                ("report", "standalone"),
            },
        )
        ports = [t["port"] for t in self.targets("classifier", id=self.first())]
        self.assertEqual(ports, [32768, 32769])

    def test_inference_group_spreads_over_three_zones_and_all_of_it_serves(self):
        self.assertEqual(len({i["zone"] for i in self.group()["instances"]}), 3)
        self.assertEqual({t["id"] for t in self.targets("inference")}, set(self.members()))
        for group in ("inference", "classifier", "ranker"):
            self.assertEqual({t["state"] for t in self.targets(group)}, {"healthy"})

    def test_some_instances_belong_to_no_group(self):
        alone = [i["id"] for i in self.state()["instances"] if i["group"] is None]
        in_cluster = {c["instance"] for c in self.cluster()["container_instances"]}
        by_hand = {t["id"] for t in self.targets("by-hand")}
        self.assertEqual(len(alone), 2)
        self.assertTrue(by_hand.isdisjoint(in_cluster))
        self.assertEqual(set(alone), by_hand | (set(alone) & in_cluster))


class Stack(WorldTest):
    parameters = {"DryRun": "true"}

    def test_a_world_is_deployed_with_its_own_parameters(self):
        (function,) = self.get("stack")["functions"]
        self.assertEqual(function["environment"], {"DRY_RUN": "true"})
        self.assertEqual(function["timeout_seconds"], 15)

    def test_event_source_mappings_are_told_as_the_template_sets_them(self):
        (mapping,) = self.get("stack")["event_source_mappings"]
        self.assertEqual(mapping["function"], "spot-handoff-watcher")
        self.assertEqual(mapping["queue_url"], self.queue("notices")["url"])
        self.assertEqual((mapping["batch_size"], mapping["window_seconds"]), (10, 0))
        self.assertTrue(mapping["report_batch_item_failures"])

    def test_a_parameter_value_the_template_does_not_allow_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "400.*DryRun"):
            ask("POST", f"{self.control}/worlds", {"parameters": {"DryRun": "perhaps"}})
