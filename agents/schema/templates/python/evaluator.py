import math

from surety_schema import messages


class Evaluator:
    def EvaluateRoot(self, evaluation, context):
        y = evaluation.request.y
        judged = []
        for worker in evaluation.workers.workers:
            x = worker.response.x
            loss = abs(y - x * x)
            # Who has no answer, or one that is farther off than not trying, is left out.
            if math.isfinite(loss) and x >= 0 and loss < max(1.0, y):
                judged.append((loss, worker.node))
        # Sorted by the closest answer.
        judged.sort()
        result = messages.EvaluationResult(
            node=[node for _, node in judged],
            score=[1 / (1 + loss) for loss, _ in judged],
        )
        if judged:
            result.report = f"the best is off by {judged[0][0]}"
        return result
