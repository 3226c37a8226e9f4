// The same partition of each topic to the same consumer, so that it has all of a call: the client's own way deals
// out topic by topic.
import type { GroupPartitionsAssigner } from '@platformatic/kafka'

export const assign: GroupPartitionsAssigner = (_, members, topics, all) =>
  [...members.keys()].map((memberId, number) => {
    const partitions = (topic: string) => all.topics.get(topic)!.partitions.map((_, partition) => partition)
    const own = (topic: string) => partitions(topic).filter(partition => partition % members.size === number)
    const assignments = [...topics].map(topic => [topic, { topic, partitions: own(topic) }] as const)
    return { memberId, assignments: new Map(assignments) }
  })
