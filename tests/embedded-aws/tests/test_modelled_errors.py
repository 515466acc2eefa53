import unittest

from embedded_aws import modelled_errors


class ModelledErrors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.errors = modelled_errors.all_of_them()

    def test_every_service_is_there_by_the_name_in_its_signatures(self):
        self.assertEqual(set(self.errors), set(modelled_errors.SERVICES))
        for service, actions in self.errors.items():
            self.assertTrue(any(actions.values()), service)

    def test_a_code_is_the_one_on_the_wire_where_the_model_has_another_than_the_shape(self):
        # The shapes are ResourceContentionFault, TargetGroupNotFoundException, NotFoundException.
        for service, action, expected in (
            ("autoscaling", "DetachInstances", {"code": "ResourceContention", "status": 500}),
            (
                "elasticloadbalancing",
                "DeregisterTargets",
                {"code": "TargetGroupNotFound", "status": 400},
            ),
            ("sns", "PublishBatch", {"code": "NotFound", "status": 404}),
        ):
            self.assertIn(expected, self.errors[service][action])

    def test_without_a_code_in_the_model_it_is_the_name_of_the_shape(self):
        found = self.errors["ecs"]["RunTask"]
        self.assertIn({"code": "ConflictException", "status": 400}, found)

    def test_a_flaw_of_the_service_is_one_of_the_server(self):
        for service, action, code in (
            ("ecs", "RunTask", "ServerException"),
            ("events", "PutEvents", "InternalException"),
            ("logs", "FilterLogEvents", "ServiceUnavailableException"),
        ):
            self.assertIn({"code": code, "status": 500}, self.errors[service][action])

    def test_an_action_without_errors_in_its_model_has_none(self):
        self.assertEqual(self.errors["elasticloadbalancing"]["DescribeAccountLimits"], [])
