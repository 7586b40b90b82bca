package millrace.clients;

import static millrace.clients.ConsumerProtocol.*;
import static millrace.clients.Support.*;

import java.util.List;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.errors.InvalidRegularExpression;

/** What clients of version 3 have not: subscriptions whose expression the broker resolves. */
final class Expressions implements Scenarios.Scenario {
    @Override
    public void run() throws Exception {
        String prefix = unique("expr");
        admin.createTopics(List.of(new NewTopic(prefix + "-one", 2, (short) 3))).all().get();
        try (Consumer<byte[], byte[]> one = member(unique("group"));
             Consumer<byte[], byte[]> wrong = member(unique("group"))) {
            one.subscribe(new SubscriptionPattern(prefix + "-(one|two)"));
            awaitCounts("two", 2, one);
            admin.createTopics(List.of(new NewTopic(prefix + "-two", 3, (short) 3),
                new NewTopic(prefix + "-three", 1, (short) 3))).all().get();
            awaitCounts("five", 5, one);
            wrong.subscribe(new SubscriptionPattern("(?=x)x"));
            expect(InvalidRegularExpression.class, () -> take(wrong, 1));
        }
    }
}
